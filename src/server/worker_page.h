// The daemon's side of a worker's page (server/session_page.h).
#pragma once

#include <array>
#include <vector>

#include "base/fd.h"
#include "server/session_page.h"
#include "wire/status.h"

namespace nm::server {

class WorkerPage {
 public:
  WorkerPage() = default;
  WorkerPage(const WorkerPage&) = delete;
  WorkerPage& operator=(const WorkerPage&) = delete;
  ~WorkerPage();

  // A new page; the descriptor is the worker's. Empty: there is no room for one, and the worker tells nothing.
  Fd make();
  // The worker has become ready and serves nobody yet: what it says of its GPUs is its own word.
  void read_gpus();
  const std::vector<wire::GpuStatus>& gpus() const { return gpus_; }  // `held` is not filled in

  // Copies what the page says into `session`, as far as it is possible at all.
  void read(wire::SessionStatus& session) const;
  // Adds what the session holds to those of `offered` that it sees.
  void add_held(std::vector<wire::GpuStatus>& offered) const;

 private:
  const SessionPage* page_ = nullptr;
  std::vector<wire::GpuStatus> gpus_;
};

}  // namespace nm::server
