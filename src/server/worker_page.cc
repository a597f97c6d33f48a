#include "server/worker_page.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>

#include "base/clock.h"
#include "base/memory_file.h"

namespace nm::server {
namespace {

uint64_t get(const SessionPage::Count& count) { return count.load(std::memory_order_relaxed); }

uint64_t now_us() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count());
}

uint64_t sum(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

}  // namespace

WorkerPage::~WorkerPage() {
  if (page_) ::munmap(const_cast<SessionPage*>(page_), kPageBytes);
}

Fd WorkerPage::make() {
  Fd file = make_memory_file("nearmetal-status", kPageBytes, MFD_ALLOW_SEALING);
  // SAFETY: nobody can shorten the file, so reading it cannot fault.
  if (!file || ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return {};
  void* at = ::mmap(nullptr, kPageBytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) return {};
  page_ = static_cast<const SessionPage*>(at);
  return file;
}

void WorkerPage::read_gpus() {
  if (!page_) return;
  const uint64_t count = std::min<uint64_t>(page_->gpu_count, kPageGpus);
  for (uint64_t i = 0; i < count; i++) {
    const SessionPage::Gpu& there = page_->gpus[i];
    wire::GpuStatus& gpu = gpus_.emplace_back();
    char name[sizeof there.name];
    memcpy(name, there.name, sizeof name);
    gpu.name = wire::plain_text({name, ::strnlen(name, sizeof name)});
    memcpy(gpu.uuid.data(), there.uuid, sizeof there.uuid);
    gpu.memory = there.memory;
  }
}

void WorkerPage::read(wire::SessionStatus& session) const {
  if (!page_) return;
  session.posted = get(page_->posted);
  session.waited = get(page_->waited);
  session.bytes_in = get(page_->bytes_in);
  session.bytes_out = get(page_->bytes_out);
  session.kernels = get(page_->kernels);
  session.graphs = get(page_->graphs);
  session.memory = get(page_->memory);
  const uint64_t last = get(page_->last_call_us), now = now_us();
  session.idle_us = last == 0 ? session.age_us : std::min(session.age_us, last > now ? 0 : now - last);
  const uint64_t transport = get(page_->transport);
  if (transport <= static_cast<uint64_t>(wire::StatusTransport::ring)) {
    session.transport = static_cast<wire::StatusTransport>(transport);
  }
}

void WorkerPage::add_held(std::vector<wire::GpuStatus>& offered) const {
  for (size_t i = 0; page_ && i < gpus_.size(); i++) {
    for (wire::GpuStatus& gpu : offered) {
      if (gpu.uuid == gpus_[i].uuid) gpu.held = sum(gpu.held, get(page_->gpus[i].held));
    }
  }
}

}  // namespace nm::server
