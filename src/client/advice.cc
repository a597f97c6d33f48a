#include "client/advice.h"

namespace nm::client {
namespace {

constexpr uint64_t kPage = 4096;

}  // namespace

void AdviceMap::split(uint64_t at) {
  auto next = from_.upper_bound(at);
  if (next == from_.begin()) {
    from_[at] = {};
    return;
  }
  auto before = std::prev(next);
  if (before->first != at) from_.emplace_hint(next, at, before->second);
}

void AdviceMap::update(uint64_t begin, uint64_t end, const std::function<void(Advice&)>& change) {
  begin &= ~(kPage - 1);
  end = (end + kPage - 1) & ~(kPage - 1);
  split(begin);
  split(end);
  for (auto it = from_.find(begin); it != from_.end() && it->first < end; ++it) change(it->second);
}

void AdviceMap::each(uint64_t begin, uint64_t end, const std::function<void(const Advice&)>& visit) const {
  auto it = from_.upper_bound(begin);
  if (it == from_.begin())
    visit({});
  else
    visit(std::prev(it)->second);
  for (; it != from_.end() && it->first < end; ++it) visit(it->second);
}

}  // namespace nm::client
