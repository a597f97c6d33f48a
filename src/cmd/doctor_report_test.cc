#include "cmd/doctor_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace nm::cmd {
namespace {

using inventory::Level;

inventory::Diagnosis example() {
  inventory::Diagnosis diagnosis{.gpus = 2, .gpus_ready = 1};
  diagnosis.findings.push_back({.check = "kvm",
                                .object = "/dev/kvm",
                                .found = "/dev/kvm can be used.",
                                .why = "unsaid",
                                .fixes = {{.advice = "unsaid"}}});
  diagnosis.findings.push_back(
      {.level = Level::fail,
       .check = "iommu_group",
       .object = "0000:01:00.0",
       .found = "It is shared.",
       .why = "Groups go as one.",
       .fixes = {{.file = "/etc/f", .line = "a line"}, {.command = "update", .advice = "By hand."}},
       .gpu = inventory::PciAddress{0, 1, 0, 0}});
  return diagnosis;
}

TEST(DoctorReport, WhatIsWellIsOneLineAndWhatIsNotHasItsCure) {
  EXPECT_EQ(diagnosis_lines(example(), false), (std::vector<std::string>{
                                                   "ok    kvm          /dev/kvm      /dev/kvm can be used.",
                                                   "fail  iommu_group  0000:01:00.0  It is shared.",
                                                   "      why  Groups go as one.",
                                                   "      fix  in /etc/f:  a line",
                                                   "           By hand.",
                                                   "           run:  update",
                                               }));
}

TEST(DoctorReport, TheLastLineCounts) {
  inventory::Diagnosis diagnosis = example();
  EXPECT_EQ(verdict_sentence(diagnosis), "Ready: 1 of 2 GPUs can be handed to a virtual machine; 0 warnings.");
  diagnosis.gpus_ready = 0;
  EXPECT_EQ(verdict_sentence(diagnosis), "Not ready: 1 failure to be cured first, and 0 warnings.");
}

TEST(DoctorReport, JsonHasEverything) {
  const auto json = diagnosis_json(example());
  EXPECT_EQ(json["ready"], true);
  EXPECT_EQ(json["findings"][0]["gpu"], nullptr);
  EXPECT_EQ(json["findings"][1]["gpu"], "0000:01:00.0");
  EXPECT_EQ(json["findings"][1]["fixes"][0]["file"], "/etc/f");
  EXPECT_EQ(json["findings"][1]["fixes"][1]["line"], nullptr);
}

}  // namespace
}  // namespace nm::cmd
