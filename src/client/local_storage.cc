#include "client/local_storage.h"

#include <atomic>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "client/handles.h"

namespace nm::client {
namespace {

struct Entry {
  void* value;
  StorageDestructor destructor;
};
using Key = std::pair<uint64_t, void*>;

struct Storage {
  std::mutex mutex;
  std::map<Key, Entry> entries;
  std::map<std::pair<uint64_t, int>, size_t> limits;
};
Storage& storage() {
  static auto* s = new Storage;
  return *s;
}

// Nearly every call of the runtime asks for the same key in the same context: each thread keeps its last answer.
std::atomic<uint64_t> g_epoch{1};
struct LastAnswer {
  uint64_t epoch = 0, context = 0;
  void* key = nullptr;
  void* value = nullptr;
};
thread_local LastAnswer t_last;

}  // namespace

CUresult put_local_storage(uint64_t context, void* key, void* value, StorageDestructor destructor) {
  std::lock_guard lock(storage().mutex);
  bool added = storage().entries.try_emplace({context, key}, Entry{value, destructor}).second;
  g_epoch++;
  return added ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult remove_local_storage(uint64_t context, void* key) {
  std::lock_guard lock(storage().mutex);
  g_epoch++;
  return storage().entries.erase({context, key}) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult get_local_storage(uint64_t context, void* key, void** value) {
  uint64_t epoch = g_epoch.load(std::memory_order_acquire);
  LastAnswer& last = t_last;
  if (last.epoch == epoch && last.context == context && last.key == key) {
    *value = last.value;
    return CUDA_SUCCESS;
  }
  std::lock_guard lock(storage().mutex);
  auto it = storage().entries.find({context, key});
  if (it == storage().entries.end()) return CUDA_ERROR_INVALID_HANDLE;
  *value = it->second.value;
  last = {epoch, context, key, *value};
  return CUDA_SUCCESS;
}

void drop_local_storage(uint64_t context) {
  std::vector<std::pair<void*, Entry>> going;
  {
    std::lock_guard lock(storage().mutex);
    for (auto it = storage().entries.begin(); it != storage().entries.end();) {
      if (it->first.first != context) {
        ++it;
        continue;
      }
      going.emplace_back(it->first.second, it->second);
      it = storage().entries.erase(it);
    }
    g_epoch++;
  }
  for (auto& [key, entry] : going) {
    if (entry.destructor) entry.destructor(from_handle<CUcontext>(context), key, entry.value);
  }
}

bool recall_limit(uint64_t context, CUlimit limit, size_t* value) {
  std::lock_guard lock(storage().mutex);
  auto it = storage().limits.find({context, static_cast<int>(limit)});
  if (it == storage().limits.end()) return false;
  *value = it->second;
  return true;
}

void remember_limit(uint64_t context, CUlimit limit, size_t value) {
  std::lock_guard lock(storage().mutex);
  storage().limits[{context, static_cast<int>(limit)}] = value;
}

void forget_limits() {
  std::lock_guard lock(storage().mutex);
  storage().limits.clear();
}

}  // namespace nm::client
