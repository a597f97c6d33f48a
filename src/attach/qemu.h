// The QEMUs of this host, as their command lines show them to everybody: what they are called, and where they listen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inventory/host.h"

namespace nm::attach {

struct QemuProcess {
  pid_t pid = 0;
  std::string name;                  // of -name; "pid-N" where there is none
  std::vector<std::string> sockets;  // of QMP, absolute
};

std::vector<QemuProcess> find_qemus(const inventory::Host& host);

// Paths of QMP sockets in a command line as /proc has it; relative ones as they stand there.
std::vector<std::string> qmp_sockets(std::string_view cmdline);

}  // namespace nm::attach
