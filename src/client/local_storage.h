// Small things kept per context: the runtime's own storage (an export table gives it access), and cached limits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda_abi.h"

namespace nm::client {

using StorageDestructor = void (*)(CUcontext, void* key, void* value);

// 400 where the key exists already (put) or does not (remove, get), as the driver answers.
CUresult put_local_storage(uint64_t context, void* key, void* value, StorageDestructor destructor);
CUresult remove_local_storage(uint64_t context, void* key);
CUresult get_local_storage(uint64_t context, void* key, void** value);
// Runs the destructors: the context is going.
void drop_local_storage(uint64_t context);

bool recall_limit(uint64_t context, CUlimit limit, size_t* value);
void remember_limit(uint64_t context, CUlimit limit, size_t value);
void forget_limits();

}  // namespace nm::client
