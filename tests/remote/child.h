// This program once more, in a process of its own with a session of its own, holding one of our descriptors.
#pragma once

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

extern char** environ;

inline constexpr int kGiven = 9;  // the descriptor's number in the child

// Runs `/proc/self/exe role`; the child's exit status, or -1.
inline int run_child(const std::string& role, int fd) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fd, kGiven);
  std::string program = "/proc/self/exe", argument = role;
  char* argv[] = {program.data(), argument.data(), nullptr};
  pid_t pid;
  int error = posix_spawn(&pid, program.c_str(), &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (error || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}
