#include "server/output.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

namespace nm::server {

Output::Output() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return;
  read_end_.reset(ends[0]);
  fcntl(ends[0], F_SETFL, O_NONBLOCK);
  // A kernel that prints more than fits before anybody reads loses the rest, as it does when CUDA's own buffer is full.
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  fflush(stdout);
  dup2(ends[1], STDOUT_FILENO);
  ::close(ends[1]);
  setvbuf(stdout, nullptr, _IONBF, 0);
}

std::string Output::take() {
  std::string text;
  char buffer[16 << 10];
  for (;;) {
    ssize_t n = read_end_ ? read(read_end_.get(), buffer, sizeof buffer) : -1;
    if (n <= 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace nm::server
