// A worker for the daemon's tests: no driver, but the whole of the control protocol. FAKE_WORKER says how to misbehave.
// FAKE_WORKER_STARTS names a file that grows by a byte with every start.
// On its session it answers lines: "env NAME", "pid", "purpose", "crash", and echoes the rest.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/version.h"
#include "server/worker.h"

namespace nm::server {
namespace {

bool receive(int control, Assignment& assignment, int& connection) {
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof connection)];
  iovec data = {.iov_base = &assignment, .iov_len = sizeof assignment};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  if (::recvmsg(control, &message, MSG_CMSG_CLOEXEC) != sizeof assignment) return false;
  memcpy(&connection, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof connection);
  return true;
}

void send_welcome(int connection, const Assignment& assignment) {
  wire::Welcome welcome;
  kVersion.copy(welcome.version, sizeof welcome.version - 1);
  welcome.token = assignment.hello.token;
  ::send(connection, &welcome, sizeof welcome, MSG_NOSIGNAL);
}

std::string answer(const std::string& line, const Assignment& assignment) {
  if (line == "pid") return std::to_string(::getpid());
  if (line == "purpose") return std::to_string(static_cast<uint32_t>(assignment.hello.purpose));
  if (line == "crash") ::raise(SIGSEGV);
  if (line.starts_with("env ")) {
    const char* value = ::getenv(line.c_str() + 4);
    return value ? value : "(unset)";
  }
  return line;
}

// Until the client closes.
void talk(int connection, const Assignment& assignment) {
  send_welcome(connection, assignment);
  std::string line;
  char c;
  while (::read(connection, &c, 1) == 1) {
    if (c != '\n') {
      line += c;
      continue;
    }
    const std::string out = answer(line, assignment) + "\n";
    ::send(connection, out.data(), out.size(), MSG_NOSIGNAL);
    line.clear();
  }
  ::close(connection);
}

int run(int control, std::string_view mode) {
  if (mode == "crash-at-start") ::abort();
  if (mode == "hang-at-start") std::this_thread::sleep_for(std::chrono::hours(1));
  if (mode == "slow-start") std::this_thread::sleep_for(std::chrono::milliseconds(50));
  if (mode == "stubborn") ::signal(SIGTERM, SIG_IGN);
  const Report ready = {.kind = Report::ready, .detail = mode == "no-driver" ? 999 : 0};
  ::send(control, &ready, sizeof ready, MSG_NOSIGNAL);

  Assignment first;
  int connection = -1;
  if (!receive(control, first, connection)) return 0;
  // Later connections, and the end of the daemon.
  std::thread([control] {
    Assignment joined;
    int other = -1;
    while (receive(control, joined, other)) std::thread(talk, other, joined).detach();
    _exit(0);
  }).detach();
  talk(connection, first);
  if (mode == "stubborn") std::this_thread::sleep_for(std::chrono::hours(1));
  _exit(0);
}

}  // namespace
}  // namespace nm::server

int main(int argc, char** argv) {
  int control = -1;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string_view(argv[i]) == "--control-fd") control = atoi(argv[i + 1]);
  }
  if (const char* starts = getenv("FAKE_WORKER_STARTS")) {
    if (FILE* file = fopen(starts, "a")) {
      fputc('x', file);
      fclose(file);
    }
  }
  const char* mode = getenv("FAKE_WORKER");
  return nm::server::run(control, mode ? mode : "");
}
