#include "softgpu/ptx/program.h"

namespace nm::softgpu::ptx {
namespace {
constexpr size_t kMaxConstantBytes = size_t{256} << 20;
}

Ref ConstantPool::intern(uint64_t value, uint32_t bytes) {
  const int width = bytes == 2 ? 0 : bytes == 4 ? 1 : bytes == 8 ? 2 : 3;
  if (bytes < 8) value &= (uint64_t{1} << bytes * 8) - 1;
  auto [found, fresh] = known_[width].try_emplace(value, kNoRef);
  if (!fresh) return found->second;
  const size_t at = data_.size() * 8;
  if (at > kMaxConstantBytes) {
    known_[width].erase(found);
    return kNoRef;
  }
  found->second = static_cast<Ref>(at) | kConstants;
  switch (width) {
    case 0:
      data_.insert(data_.end(), 8, value * 0x0001000100010001ull);
      break;
    case 1:
      data_.insert(data_.end(), 16, value << 32 | value);
      break;
    case 2:
      data_.insert(data_.end(), 32, value);
      break;
    default:
      for (uint32_t lane = 0; lane < kLanes; ++lane) {
        data_.push_back(value);
        data_.push_back(0);
      }
  }
  return found->second;
}

Ref ConstantPool::predicate(bool value) {
  auto [found, fresh] = known_[4].try_emplace(value, kNoRef);
  if (fresh) {
    found->second = static_cast<Ref>(data_.size() * 8) | kConstants;
    data_.insert(data_.end(), 8, value ? ~uint64_t{0} : 0);
  }
  return found->second;
}

AlignedBytes ConstantPool::finish() const {
  AlignedBytes bytes(data_.size() * 8);
  if (bytes.data() != nullptr && !data_.empty()) std::memcpy(bytes.data(), data_.data(), data_.size() * 8);
  return bytes;
}

}  // namespace nm::softgpu::ptx
