// A worker for the daemon's tests: no driver, but the whole of the control protocol. FAKE_WORKER says how to misbehave.
// FAKE_WORKER_STARTS names a file that grows by a byte with every start.
// On its session it answers lines: "env NAME", "pid", "purpose", "crash", and echoes the rest.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/version.h"
#include "server/session_page.h"
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

// What it tells of itself: something, or what nobody can be; and an attempt to take the page from under the reader.
void tell(int page_fd, std::string_view mode) {
  void* at = ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
  if (at == MAP_FAILED) return;
  auto& page = *static_cast<SessionPage*>(at);
  if (mode == "liar") {
    memset(at, 0xff, kPageBytes);
    if (::ftruncate(page_fd, 0) == 0) ::abort();
    return;
  }
  page.gpu_count = 1;
  strcpy(page.gpus[0].name, "Fake \x1b[31mGPU");
  page.gpus[0].uuid[0] = 7;
  page.gpus[0].memory = 1 << 30;
  set(page.gpus[0].held, 4096);
  set(page.memory, 4096);
  set(page.posted, 100);
  set(page.waited, 5);
  set(page.bytes_in, 1000);
  set(page.bytes_out, 2000);
  set(page.kernels, 60);
  set(page.graphs, 3);
  set(page.transport, 2);
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
  int control = -1, page = -1;
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::string_view(argv[i]) == "--control-fd") control = atoi(argv[i + 1]);
    if (std::string_view(argv[i]) == "--page-fd") page = atoi(argv[i + 1]);
  }
  if (const char* starts = getenv("FAKE_WORKER_STARTS")) {
    if (FILE* file = fopen(starts, "a")) {
      fputc('x', file);
      fclose(file);
    }
  }
  const char* mode = getenv("FAKE_WORKER");
  if (page >= 0) nm::server::tell(page, mode ? mode : "");
  return nm::server::run(control, mode ? mode : "");
}
