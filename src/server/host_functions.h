// Functions of the client's program that run in stream order: the driver's callback thread asks the client, over a
// connection of its own, and waits for the answer, so that the stream goes on only when the function has returned.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fd.h"
#include "cuda_abi.h"

namespace nm::server {

class GraphSlots;

class HostFunctions {
 public:
  // The client's second connection; replaces an earlier one.
  void connect(Fd fd);
  // Host memory in graphs: a function sees what graphs wrote there, and graphs see what a function wrote.
  void share_slots(std::weak_ptr<GraphSlots> slots);

  // What to give to the driver as user data of run(); lives until the session ends.
  void* make(uint64_t token);
  static uint64_t token_of(void* user_data);

  // To be called by the driver: cuLaunchHostFunc, graph nodes and user objects; cuStreamAddCallback.
  static void run(void* user_data);
  static void run_callback(CUstream stream, CUresult status, void* user_data);

 private:
  struct Function {
    HostFunctions* owner;
    uint64_t token;
  };
  void ask(uint64_t token, CUresult status);
  bool exchange(uint64_t token, CUresult status);

  std::mutex mutex_;  // one function at a time, as in CUDA
  Fd fd_;
  std::weak_ptr<GraphSlots> slots_;
  std::mutex made_mutex_;
  std::vector<std::unique_ptr<Function>> made_;
};

}  // namespace nm::server
