// What both renderings must say, and that nobody's text can say more in them than it should. That QEMU and libvirt
// understand them is tested with the programs themselves (tests/e2e/vm_*.sh).
#include "guest/render.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "guest/test_hosts.h"

namespace nm::guest {
namespace {

GuestShape shape_of(Wish wish, size_t host = 2, int gpus = 2) {
  const TestHost there = test_hosts()[host];
  inventory::Inventory inventory;
  std::vector<PassedGpu> passed;
  for (int i = 0; i < gpus; ++i) {
    passed.push_back(test_gpu(static_cast<uint8_t>(0x20 + i), i % static_cast<int>(there.topology.nodes.size())));
  }
  if (wish.name.empty()) wish.name = "train1";
  auto shape = shape_guest(inventory, passed, there.topology, wish);
  EXPECT_TRUE(shape) << shape.error().message;
  return *shape;
}

std::vector<std::string> line_of(const GuestShape& shape) {
  return qemu_line(shape, "/usr/bin/qemu-system-x86_64", {.qmp = "/run/q,mp", .variables = "/run/vars"});
}

// The values of an option, in order.
std::vector<std::string> values(const std::vector<std::string>& line, const std::string& option) {
  std::vector<std::string> found;
  for (size_t i = 0; i + 1 < line.size(); ++i) {
    if (line[i] == option) found.push_back(line[i + 1]);
  }
  return found;
}

// The value of a key, as QEMU reads it: a doubled comma is one.
std::string key(const std::string& value, const std::string& name) {
  for (size_t begin = 0; begin < value.size();) {
    std::string part;
    size_t i = begin;
    for (; i < value.size(); ++i) {
      if (value[i] != ',') {
        part += value[i];
      } else if (i + 1 < value.size() && value[i + 1] == ',') {
        part += ',', ++i;
      } else {
        break;
      }
    }
    if (part.starts_with(name + "=")) return part.substr(name.size() + 1);
    begin = i + 1;
  }
  return "";
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::string xml_of(const GuestShape& shape) {
  const auto xml = domain_xml(shape, "");
  EXPECT_TRUE(xml) << xml.error().message;
  return xml ? *xml : "";
}

TEST(QemuLine, HasAPortForEachGpuWithItsReserve) {
  const GuestShape shape = shape_of({});
  std::set<std::string> chassis, buses;
  int ports = 0;
  for (const std::string& device : values(line_of(shape), "-device")) {
    if (device.starts_with("pcie-root-port,")) {
      ++ports;
      EXPECT_TRUE(chassis.insert(key(device, "chassis")).second);
      EXPECT_EQ(key(device, "pref64-reserve"), key(device, "id").starts_with("gpu") ? "262144M" : "65536M");
      EXPECT_TRUE(key(device, "bus").starts_with("node"));
    } else if (device.starts_with("vfio-pci,")) {
      EXPECT_TRUE(buses.insert(key(device, "bus")).second);
    }
  }
  EXPECT_EQ(ports, 3);
  EXPECT_EQ(buses, (std::set<std::string>{"gpu0", "gpu1"}));
}

TEST(QemuLine, NodesCarryMemoryProcessorsAndBuses) {
  const std::vector<std::string> line = line_of(shape_of({}));
  EXPECT_EQ(values(line, "-numa").size(), 2u + 2u + 4u);
  size_t backends = 0, expanders = 0;
  for (const std::string& object : values(line, "-object")) {
    if (!object.starts_with("memory-backend-")) continue;
    ++backends;
    EXPECT_EQ(key(object, "policy"), "bind");
    EXPECT_EQ(key(object, "hugetlbsize"), "1024M");
  }
  for (const std::string& device : values(line, "-device")) expanders += device.starts_with("pxb-pcie,");
  EXPECT_EQ(backends, 2u);
  EXPECT_EQ(expanders, 2u);
}

TEST(QemuLine, TellsQemuAndOvmfTheSameWindow) {
  const GuestShape shape = shape_of({});
  const std::vector<std::string> line = line_of(shape);
  EXPECT_EQ(key(values(line, "-fw_cfg").at(0), "string"), fmt::format("{}", shape.space.window_size / kMiB));
  EXPECT_EQ(values(line, "-global").at(0), fmt::format("q35-pcihost.pci-hole64-size={}", shape.space.hole64_size));
}

TEST(QemuLine, HidesTheHypervisorOnlyWhenAsked) {
  EXPECT_EQ(values(line_of(shape_of({})), "-cpu").at(0).find("kvm=off"), std::string::npos);
  const std::string hidden = values(line_of(shape_of({.hide_hypervisor = true})), "-cpu").at(0);
  EXPECT_EQ(key(hidden, "kvm"), "off");
  EXPECT_FALSE(key(hidden, "hv_vendor_id").empty());
  EXPECT_LE(key(hidden, "hv_vendor_id").size(), 12u);
}

TEST(QemuLine, ACommaInANameEndsNothing) {
  Wish wish{.name = "a,b=c,,d"};
  wish.disk = Disk{.path = "/disks/x,cache.direct=on,y", .format = "qcow2"};
  wish.network = {.kind = Network::Kind::tap, .name = "t,script=/bin/sh"};
  const std::vector<std::string> line = line_of(shape_of(wish));
  EXPECT_EQ(key(values(line, "-name").at(0), "guest"), wish.name);
  EXPECT_EQ(key(values(line, "-blockdev").at(0), "filename"), wish.disk->path);
  EXPECT_EQ(key(values(line, "-blockdev").at(0), "cache.direct"), "");
  EXPECT_EQ(key(values(line, "-netdev").at(0), "ifname"), wish.network.name);
  EXPECT_EQ(key(values(line, "-netdev").at(0), "script"), "no");
  EXPECT_EQ(key(values(line, "-qmp").at(0), "server"), "on");
}

TEST(DomainXml, EscapesWhatOthersNamed) {
  Wish wish{.name = "<x a='1'>&\"]]>"};
  wish.disk = Disk{.path = "/d/'/><evil/>", .format = "raw"};
  wish.network = {.kind = Network::Kind::bridge, .name = "b'r"};
  const std::string xml = xml_of(shape_of(wish));
  EXPECT_EQ(count(xml, "<name>"), 1u);
  EXPECT_EQ(count(xml, "<x"), 0u);
  EXPECT_EQ(count(xml, "<evil"), 0u);
  EXPECT_EQ(count(xml, "file='/d/&apos;/&gt;&lt;evil/&gt;'"), 1u);
  EXPECT_EQ(count(xml, "bridge='b&apos;r'"), 1u);
}

TEST(DomainXml, RefusesWhatXmlCannotHold) {
  GuestShape shape = shape_of({});
  for (const char* name : {"a\x01"
                           "b",
                           "\xff", "\xc3("}) {
    shape.name = name;
    EXPECT_FALSE(domain_xml(shape, "")) << name;
  }
  shape.name = "m\u00fcnchen";
  EXPECT_TRUE(domain_xml(shape, ""));
}

TEST(DomainXml, SaysTheSameAsTheCommand) {
  for (size_t host = 0; host < test_hosts().size(); ++host) {
    const bool small = test_hosts()[host].topology.physical_bits < 44;
    Wish wish;
    wish.disk = Disk{.path = "/d", .format = "raw"};
    const GuestShape shape = shape_of(wish, host, small ? 0 : 2);
    const std::string xml = xml_of(shape);
    EXPECT_EQ(count(xml, "<vcpupin "), shape.vcpus.size());
    for (size_t i = 0; i < shape.vcpus.size(); ++i) {
      EXPECT_EQ(count(xml, fmt::format("<vcpupin vcpu='{}' cpuset='{}'/>", i, shape.vcpus[i].host_cpu)), 1u);
    }
    EXPECT_EQ(count(xml, "model='pcie-root-port'"), shape.ports.size());
    EXPECT_EQ(count(xml, "<hostdev "), shape.gpus());
    EXPECT_EQ(count(xml, "model='pcie-expander-bus'"), shape.numa() ? shape.nodes.size() : 0);
    EXPECT_EQ(count(xml, "<cell "), shape.numa() ? shape.nodes.size() : 0);
    EXPECT_EQ(count(xml, "name='pref64-reserve'"), shape.ports.size());
    EXPECT_EQ(count(xml, fmt::format("<pcihole64 unit='KiB'>{}<", shape.space.hole64_size >> 10)), 1u);
    for (const char* tag : {"devices", "domain", "cputune", "os", "cpu"}) {
      EXPECT_EQ(count(xml, fmt::format("</{}>", tag)), 1u) << tag;
    }
  }
}

TEST(Rendering, NoTwoThingsShareASlot) {
  for (size_t host = 0; host < test_hosts().size(); ++host) {
    const bool small = test_hosts()[host].topology.physical_bits < 44;
    std::set<std::pair<std::string, std::string>> places;
    Wish wish{.spare_ports = 4};
    wish.disk = Disk{.path = "/d", .format = "raw"};
    for (const std::string& device : values(line_of(shape_of(wish, host, small ? 0 : 4)), "-device")) {
      EXPECT_TRUE(places.emplace(key(device, "bus"), key(device, "addr")).second) << device;
    }
    EXPECT_GE(places.size(), 6u);
  }
}

}  // namespace
}  // namespace nm::guest
