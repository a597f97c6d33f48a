// For the end-to-end tests: nm_fake_host SHAPE DIRECTORY makes a machine of that shape there.
#include <cstdio>

#include "inventory/fake_host.h"

int main(int argc, char** argv) {
  nm::inventory::FakeHost host(argc == 3 ? argv[2] : "");
  if (argc == 3 && nm::inventory::make_fake_host(argv[1], host)) return 0;
  std::fprintf(stderr, "usage: nm_fake_host SHAPE DIRECTORY; the shapes are:");
  for (const std::string& shape : nm::inventory::fake_host_shapes()) std::fprintf(stderr, " %s", shape.c_str());
  std::fprintf(stderr, "\n");
  return 2;
}
