#include "hostile_server.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/record.h"

namespace nm::fuzz {
namespace {

constexpr uint64_t kMostBulk = 1 << 20;

// The numbers in a call that its reply's counts refer to.
Numbers numbers_of(std::span<const Item> items, std::span<const uint8_t> body) {
  Numbers out{};
  wire::Reader in(body);
  for (const Item& i : items) {
    switch (i.what) {
      case 'n':
        out[i.slot % kSlots] = in.u64();
        break;
      case 'u':
      case 'f':
      case 'h':
      case 'w':
        in.u64();
        break;
      case 'B':
        break;
      default: {
        bool null;
        in.bytes(&null);
      }
    }
  }
  return out;
}

}  // namespace

HostileServer::HostileServer(int fd, Input in, std::span<const Row> rows, std::span<const Item> items)
    : fd_(fd), in_(in), rows_(rows), items_(items) {}

HostileServer::~HostileServer() {
  shutdown(fd_, SHUT_RDWR);
  if (thread_.joinable()) thread_.join();
  close(fd_);
}

void HostileServer::prepare(uint16_t op, std::vector<uint8_t> body) { prepared_.emplace_back(op, std::move(body)); }
void HostileServer::start() {
  thread_ = std::thread([this] { run(); });
}

bool HostileServer::read(void* to, size_t size) {
  for (auto* p = static_cast<char*>(to); size;) {
    ssize_t n = recv(fd_, p, size, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n, size -= static_cast<size_t>(n);
  }
  return true;
}

bool HostileServer::write(const void* from, size_t size) {
  for (auto* p = static_cast<const char*>(from); size;) {
    ssize_t n = send(fd_, p, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n, size -= static_cast<size_t>(n);
  }
  return true;
}

void HostileServer::run() {
  wire::RecordHeader header;
  std::vector<uint8_t> body, bulk;
  while (read(&header, sizeof header)) {
    body.resize(header.size - sizeof header);
    if (!read(body.data(), body.size())) break;
    for (uint64_t left = header.bulk; left;) {
      bulk.resize(std::min<uint64_t>(left, 64 << 10));
      if (!read(bulk.data(), bulk.size())) return;
      left -= bulk.size();
    }
    if (header.sequence && !answer(header.op, header.sequence, body)) break;
  }
  shutdown(fd_, SHUT_RDWR);
}

bool HostileServer::push() {
  wire::ReplyHeader header{};
  header.result = in_.take<uint8_t>() % 7;
  std::vector<uint8_t> body;
  wire::Writer w(body);
  for (int words = in_.take<uint8_t>() % 4; words > 0; words--) w.u64(in_.number());
  std::vector<uint8_t> bulk(in_.take<uint8_t>());
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.bulk = bulk.size();
  return write(&header, sizeof header) && write(body.data(), body.size()) && write(bulk.data(), bulk.size());
}

bool HostileServer::answer(uint16_t op, uint32_t sequence, std::span<const uint8_t> asked) {
  enum How : uint8_t { kShaped, kRefused = 16, kBytes, kHeader, kAgain, kOther, kShort, kLong, kPush, kEnd, kCount };
  const uint8_t how = hostile_ ? in_.take<uint8_t>() % kCount : uint8_t{kShaped};
  if (how == kEnd) return false;
  if (how == kAgain && !write(last_.data(), last_.size())) return false;
  if (how == kPush && !push()) return false;
  auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.id == op; });
  if (row == rows_.end()) return false;
  wire::ReplyHeader header{};
  header.sequence = how == kOther ? in_.take<uint32_t>() : sequence;
  std::vector<uint8_t> body;
  uint64_t bulk = 0;
  auto prepared = std::find_if(prepared_.begin(), prepared_.end(), [&](auto& p) { return p.first == op; });
  if (how == kRefused) {
    header.result = static_cast<int32_t>(in_.number());
    if (in_.take<uint8_t>() & 1) header.deferred = static_cast<int32_t>(in_.number());
  } else if (how == kBytes) {
    body.resize(in_.take<uint8_t>());
    in_.copy(body.data(), body.size());
    bulk = in_.take<uint8_t>();
  } else if (prepared != prepared_.end() && (!hostile_ || how < 8)) {
    body = prepared->second;
  } else {
    Input zeros(nullptr, 0);
    Numbers numbers = numbers_of(items_.subspan(row->ins, row->outs - row->ins), asked);
    bulk = Shaper(hostile_ ? in_ : zeros, body).body(items_.subspan(row->outs, row->end - row->outs), numbers, true);
  }
  if (how == kShort) body.resize(body.size() - std::min<size_t>(body.size(), 1 + in_.take<uint8_t>()));
  if (how == kLong) body.resize(body.size() + 8);
  header.size = static_cast<uint32_t>(sizeof header + body.size());
  header.bulk = bulk;
  if (how == kHeader) in_.copy(&header, sizeof header);
  std::vector<uint8_t> bytes(std::min(bulk, kMostBulk), 0x5a);
  auto* h = reinterpret_cast<const uint8_t*>(&header);
  last_.assign(h, h + sizeof header);
  last_.insert(last_.end(), body.begin(), body.end());
  last_.insert(last_.end(), bytes.begin(), bytes.end());
  if (!write(last_.data(), last_.size())) return false;
  // A header that announces more than comes would leave the client waiting for it.
  return how != kHeader && bulk <= kMostBulk;
}

}  // namespace nm::fuzz
