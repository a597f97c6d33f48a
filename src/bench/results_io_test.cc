#include "bench/results_io.h"

#include <gtest/gtest.h>

#include "bench/json_line.h"
#include "bench/workload_lines.h"

namespace nm::bench {
namespace {

ResultFile small_file() {
  ResultFile file;
  file.suite_version = "1";
  file.session = "0123";
  file.verb = "compare";
  file.targets = {{"native", {}}, {"remote", {"run", "--server", "x"}}};
  file.fingerprints = {{{"when", "before"}, {"host", "h"}, {"boot", "b"}}};
  Run run;
  run.target = "native";
  run.program = "Triad";
  run.suite = "shoc";
  run.level = 1;
  run.device = {{"name", "GPU \"x\"\n"}};
  run.samples = {{"bw", "GB/s", true, true, true, {1.5, 0.1, 1e-300}, "curve", 4096.0, "B"}};
  run.checks = {{"sum", true, 1e-9, 1e-6}};
  run.skips = {{"tex", "There are none."}};
  file.runs.push_back(run);
  run.status = Status::crashed;
  run.samples.clear();
  run.level.reset();
  file.runs.push_back(run);
  file.complete = true;
  return file;
}

TEST(Results, what_is_written_is_read_again) {
  const std::string text = to_lines(small_file());
  const auto file = parse_results(text, "f");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(to_lines(*file), text);
  EXPECT_EQ(file->runs[0].samples[0].values, (std::vector<double>{1.5, 0.1, 1e-300}));
  EXPECT_EQ(file->runs[1].status, Status::crashed);
  EXPECT_EQ(file->host(), "h");
  EXPECT_TRUE(file->complete);
}

TEST(Results, a_file_without_its_end_is_a_file_with_fewer_runs) {
  std::string text = to_lines(small_file());
  text.resize(text.rfind("{\"line\":\"end\"") - 20);
  const auto file = parse_results(text, "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->runs.size(), 1u);
  EXPECT_FALSE(file->complete);
}

TEST(Results, a_terminal_is_shown_no_control_characters) {
  EXPECT_EQ(plain("a\x1b[2Jb\nc\xc2\x9bz\xc3\xa9"), "a?[2Jb?c?z\xc3\xa9");
  EXPECT_EQ(plain("aé", 2), "a");
}

struct Reading {
  Run run;
  explicit Reading(const std::vector<std::string>& lines, ExitStatus ended = {}, size_t piece = 1'000'000) {
    run.program = "Triad";
    run.api = "cuda";
    run.size = "ci";
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    WorkloadReader reader(run);
    for (size_t at = 0; at < text.size() && reader.feed(std::string_view(text).substr(at, piece)); at += piece) {
    }
    reader.finish(ended, "");
  }
};

const std::string kBegin =
    R"({"line":"begin","workload":1,"suite_version":"1","program":"Triad","suite":"shoc","level":1,"api":"cuda","size":"ci"})";
const std::string kSample =
    R"({"line":"sample","metric":"bw","unit":"GB/s","better":"higher","pcie":true,"values":[1,3,2]})";
const std::string kEnd = R"({"line":"end","ok":true,"seconds":1})";

TEST(WorkloadLines, a_good_run_is_read_in_any_pieces) {
  for (size_t piece : {1, 7, 1'000'000}) {
    const Reading reading({kBegin, kSample, kEnd}, {}, piece);
    EXPECT_EQ(reading.run.status, Status::ok) << reading.run.sentence;
    ASSERT_EQ(reading.run.samples.size(), 1u);
    EXPECT_EQ(reading.run.samples[0].summary(), 2);
    EXPECT_EQ(reading.run.level, 1);
  }
}

TEST(WorkloadLines, what_was_measured_before_the_trouble_is_kept) {
  const Reading reading({kBegin, kSample, "rubbish", kEnd});
  EXPECT_EQ(reading.run.status, Status::rubbish);
  EXPECT_EQ(reading.run.samples.size(), 1u);
}

TEST(WorkloadLines, nothing_is_believed) {
  const auto status = [](std::vector<std::string> lines, int code = 0) {
    return Reading(lines, {.signaled = false, .code = code}).run.status;
  };
  const std::string beyond = R"({"line":"check","what":"x","ok":true,"error":2,"bound":1})";
  const std::string wrong = R"({"line":"check","what":"x","ok":false,"error":0,"bound":1})";
  const std::string error = R"({"line":"error","sentence":"No."})";
  EXPECT_EQ(status({kBegin, kSample, beyond, kEnd}), Status::check_failed);
  EXPECT_EQ(status({kBegin, kSample, wrong, kEnd}), Status::check_failed);
  EXPECT_EQ(status({kBegin, kSample, error, kEnd}), Status::check_failed);
  EXPECT_EQ(status({kBegin, kSample, R"({"line":"end","ok":false})"}), Status::check_failed);
  EXPECT_EQ(status({kBegin, kSample, kEnd}, 3), Status::failed);
  EXPECT_EQ(status({kBegin, kSample}), Status::crashed);
  EXPECT_EQ(status({kBegin, kEnd}), Status::rubbish);
  EXPECT_EQ(status({kSample, kBegin, kEnd}), Status::rubbish);
  EXPECT_EQ(status({kBegin, kBegin, kSample, kEnd}), Status::rubbish);
  EXPECT_EQ(status({kBegin, kSample, kSample, kEnd}), Status::rubbish);
  EXPECT_EQ(status({kBegin, kSample, kEnd, kSample}), Status::rubbish);
  EXPECT_EQ(status({}), Status::rubbish);
  EXPECT_EQ(status({}, 127), Status::not_started);
  EXPECT_EQ(status({kBegin, R"({"line":"skip","metric":"*","why":"Not here."})"}, 77), Status::skipped);
  EXPECT_EQ(status({kBegin, R"({"line":"sample","metric":"m","better":"higher","values":[]})", kEnd}), Status::rubbish);
  EXPECT_EQ(status({kBegin, R"({"line":"sample","metric":"m","better":"higher","values":["1"]})", kEnd}),
            Status::rubbish);
  EXPECT_EQ(status({kBegin, R"({"line":"sample","metric":"m","better":"faster","values":[1]})", kEnd}),
            Status::rubbish);
  EXPECT_EQ(status({R"({"line":"begin","workload":2})", kEnd}), Status::rubbish);
}

}  // namespace
}  // namespace nm::bench
