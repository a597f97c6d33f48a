// A daemon of the test's own, and programs that use it: each test starts and ends both.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace test {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A process that this test started, and ends at the latest when it goes out of scope.
class Process {
 public:
  Process(std::vector<std::string> command, std::vector<std::string> more_environment, const std::string& log) {
    std::vector<std::string> environment;
    for (char** e = environ; *e; e++) {
      std::string entry = *e;
      bool replaced = false;
      for (auto& m : more_environment) replaced |= entry.substr(0, entry.find('=') + 1) == m.substr(0, m.find('=') + 1);
      if (!replaced) environment.push_back(entry);
    }
    environment.insert(environment.end(), more_environment.begin(), more_environment.end());
    std::vector<char*> argv, envp;
    for (auto& a : command) argv.push_back(a.data());
    for (auto& e : environment) envp.push_back(e.data());
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), envp.data()) != 0) pid_ = -1;
    posix_spawn_file_actions_destroy(&actions);
  }
  Process(const Process&) = delete;
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  pid_t pid() const { return pid_; }
  // Nothing where it did not start or has ended: -1 would be everybody.
  void signal(int number) {
    if (pid_ > 0) kill(pid_, number);
  }
  // Exit status, 128 + signal, or -1 if it has not ended within `seconds`.
  int wait(double seconds) {
    auto start = Clock::now();
    while (seconds_since(start) < seconds) {
      int status;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return -1;
  }

 private:
  pid_t pid_ = -1;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// A folder and a daemon on the software GPU that listens in it. NM_BUILD names another build folder, NM_DRIVER another
// driver to serve.
class Server {
 public:
  explicit Server(std::vector<std::string> environment = {}) {
    char name[] = "/tmp/nearmetal-failure-XXXXXX";
    folder_ = mkdtemp(name);
    start(environment);
  }
  ~Server() {
    process_.reset();
    std::string command = "rm -rf '" + folder_ + "'";
    if (system(command.c_str()) != 0) perror("rm");
  }
  void start(std::vector<std::string> environment = {}) {
    process_ = std::make_unique<Process>(
        std::vector<std::string>{setting("NM_BUILD", NM_BUILD) + "/bin/nearmetald", "--listen", address(), "--driver",
                                 setting("NM_DRIVER", "soft")},
        environment, log_path());
    for (int i = 0; i < 400 && access((folder_ + "/s").c_str(), F_OK) != 0; i++) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  std::string address() const { return "unix:" + folder_ + "/s"; }
  std::string folder() const { return folder_; }
  std::string log_path() const { return folder_ + "/server.log"; }
  std::string log() const { return read_file(log_path()); }
  Process& process() { return *process_; }

  // This test program again, in the role named.
  std::unique_ptr<Process> client(const std::string& role, std::vector<std::string> environment = {}) {
    environment.push_back("NEARMETAL_SERVER=" + address());
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = 0;
    return std::make_unique<Process>(std::vector<std::string>{self, "--role", role}, environment, output(role));
  }
  std::string output(const std::string& role) const { return folder_ + "/" + role + ".out"; }
  // Waits until the client in `role` has written `text`.
  bool said(const std::string& role, const std::string& text, double seconds = 20) {
    auto start = Clock::now();
    while (seconds_since(start) < seconds) {
      if (read_file(output(role)).find(text) != std::string::npos) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

 private:
  static std::string setting(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value ? value : otherwise;
  }

  std::string folder_;
  std::unique_ptr<Process> process_;
};

}  // namespace test
