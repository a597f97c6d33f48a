#include "attach/backend.h"

#include <fmt/format.h>

#include "inventory/reader.h"

namespace nm::attach {

std::string Guest::text() const {
  return pid > 0 ? fmt::format("VM {} (pid {})", name, pid) : fmt::format("VM {}", name);
}

Result<Guest> find_guest(const std::vector<Backend*>& backends, const std::string& name) {
  std::vector<Guest> found;
  std::string known, silent;
  for (Backend* backend : backends) {
    const auto guests = backend->guests();
    if (!guests) {
      silent += " " + guests.error().message;
      continue;
    }
    for (const Guest& guest : *guests) {
      if (guest.name == name) found.push_back(guest);
      known += (known.empty() ? "" : ", ") + guest.name;
    }
  }
  if (found.size() == 1) return found[0];
  if (found.size() > 1) {
    std::string all;
    for (const Guest& guest : found)
      all += fmt::format("{}{} by {}", all.empty() ? "" : ", ", guest.text(), guest.backend);
    return Error{
        fmt::format("{} virtual machines are called {}: {}. Give the path of the right one's QMP socket instead.",
                    found.size(), name, all)};
  }
  for (Backend* backend : backends) {
    auto guest = backend->named(name);
    if (!guest) return guest.error();
    if (*guest) return **guest;
  }
  return Error{
      fmt::format("There is no virtual machine \"{}\". {}{} A QEMU is found by -name and a -qmp socket, or by "
                  "that socket's path.",
                  inventory::clean(name, 100),
                  known.empty() ? "None was found on this host." : fmt::format("Those found: {}.", known), silent)};
}

}  // namespace nm::attach
