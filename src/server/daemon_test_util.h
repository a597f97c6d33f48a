// A daemon with fake workers in a child process, and a client that speaks the first bytes of the wire.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/process.h"
#include "base/version.h"
#include "server/daemon.h"
#include "wire/status.h"

namespace nm::server {

inline bool eventually(const std::function<bool()>& condition, Millis limit = Millis(5000)) {
  for (const TimePoint end = Clock::now() + limit; Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(Millis(5));
  }
  return condition();
}

struct Answer {
  bool arrived = false;
  wire::Welcome welcome;
  std::string message;
};

class Client {
 public:
  explicit Client(const wire::Address& address) {
    auto fd = wire::dial(address, Millis(5000));
    EXPECT_TRUE(fd) << fd.error().message;
    if (fd) fd_ = std::move(*fd);
    const timeval limit = {.tv_sec = 20, .tv_usec = 0};  // a test that waits for ever says nothing
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }

  void send(std::string_view bytes) { ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  void send_hello(wire::Hello hello, const std::string& env = "") {
    if (hello.version[0] == 0) kVersion.copy(hello.version, sizeof hello.version - 1);
    hello.env_size = static_cast<uint32_t>(env.size());
    send(std::string(reinterpret_cast<const char*>(&hello), sizeof hello) + env);
  }
  Answer receive() {
    Answer answer;
    if (!read_all(&answer.welcome, sizeof answer.welcome)) return answer;
    answer.message.resize(std::min(answer.welcome.message_size, wire::kMaxMessage));
    answer.arrived = read_all(answer.message.data(), answer.message.size());
    return answer;
  }
  Answer open(wire::Hello hello = {}, const std::string& env = "") {
    send_hello(hello, env);
    return receive();
  }
  // The answer to a question for the status; none where it does not make sense.
  std::optional<wire::ServerStatus> status() {
    const Answer answer = open({.purpose = wire::Purpose::status});
    uint64_t size = 0;
    wire::ServerStatus out;
    if (!answer.arrived || answer.welcome.status != wire::Status::ok || !read_all(&size, sizeof size)) return {};
    if (size > wire::kMaxStatus) return {};
    std::vector<uint8_t> bytes(size);
    if (!read_all(bytes.data(), bytes.size()) || !at_end()) return {};
    wire::Reader in(bytes);
    if (!wire::read_status(in, &out)) return {};
    return out;
  }
  // One line to the fake worker and its answer.
  std::string ask(const std::string& line) {
    send(line + "\n");
    std::string out;
    for (char c; read_all(&c, 1) && c != '\n';) out += c;
    return out;
  }
  bool at_end() {
    char c;
    return ::recv(fd_.get(), &c, 1, 0) == 0 || errno == ECONNRESET;
  }
  void close() { fd_.reset(); }

 private:
  bool read_all(void* to, size_t size) {
    return size == 0 || ::recv(fd_.get(), to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
  }
  Fd fd_;
};

class DaemonTest : public testing::Test {
 protected:
  DaemonTest() {
    char dir[] = "/tmp/nm-daemon-XXXXXX";
    dir_ = ::mkdtemp(dir);
    address_ = {.path = dir_ + "/s"};
    options_.listen = {address_};
    options_.pool.command = {NM_FAKE_WORKER};
    options_.pool.env = {"PATH=/usr/bin:/bin"};
    options_.pool.first_back_off = Millis(20);
    options_.pool.refill_after = Millis(20);
  }
  ~DaemonTest() override {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(dir_);
  }

  void worker_mode(const std::string& mode) { options_.pool.env.push_back("FAKE_WORKER=" + mode); }

  void start() {
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      log::set_level(log::Level::error);
      const auto served = serve(options_);
      if (!served) fprintf(stderr, "%s\n", served.error().message.c_str());
      _exit(served ? 0 : 1);
    }
    ASSERT_TRUE(eventually([this] { return bool(wire::dial(address_, Millis(1000))); }));
  }
  // Nothing where it did not start or has ended: -1 would be everybody.
  void signal(int number) {
    if (pid_ > 0) ::kill(pid_, number);
  }
  // The daemon's exit status; -1 if it does not end in time.
  int end(Millis limit = Millis(8000)) {
    int status = 0;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, limit)) return -1;
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::vector<pid_t> workers() const {
    std::vector<pid_t> out;
    const std::string children = "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children";
    FILE* file = ::fopen(children.c_str(), "r");
    for (int one; file && fscanf(file, "%d", &one) == 1;) out.push_back(one);
    if (file) ::fclose(file);
    return out;
  }

  std::string dir_;
  wire::Address address_;
  DaemonOptions options_;
  pid_t pid_ = -1;
};

inline bool sleeps(pid_t pid) {
  char state = 0;
  FILE* file = ::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 0;
  if (file) ::fclose(file);
  return state == 'S';
}

// A process that has ended but that nobody has reaped does not count.
inline bool alive(pid_t pid) {
  char state = 'Z';
  FILE* file = ::fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'Z';
  if (file) ::fclose(file);
  return state != 'Z';
}

}  // namespace nm::server
