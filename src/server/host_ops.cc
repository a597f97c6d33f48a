// Host memory of the client that the device can reach (host_ranges.h), and managed variables of modules.
#include "server/session.h"
#include "server_args.h"

namespace nm::server::hand {

CUresult nm_host_share(Session& s, args::nm_host_share& a, outs::nm_host_share& o) {
  return s.host_ranges().share(a.address, a.size, s.connection().take_fd(), &o.device_pointer);
}

CUresult nm_host_mirror(Session& s, args::nm_host_mirror& a, outs::nm_host_mirror& o) {
  // The program's own pages may lie where this process has something: the device then sees them elsewhere.
  bool exact = a.address % 4096 == 0 && a.size % 4096 == 0;
  CUresult e = s.host_ranges().mirror(a.address, a.size, exact, &o.device_pointer);
  if (e == CUDA_ERROR_ALREADY_MAPPED && !a.managed) {
    e = s.host_ranges().mirror(a.address, a.size, false, &o.device_pointer);
  }
  return e;
}

CUresult nm_host_release(Session& s, args::nm_host_release& a, outs::nm_host_release&) {
  // Copies under way may still use the pages.
  if (s.context()) s.driver().cuCtxSynchronize();
  return s.host_ranges().release(a.address);
}

CUresult nm_mirror_write(Session& s, args::nm_mirror_write& a, outs::nm_mirror_write&) {
  uint8_t* here = s.host_ranges().find(a.address, a.size);
  if (!here || a.size != s.record().bulk) return CUDA_ERROR_INVALID_VALUE;
  return s.read_bulk(here, a.size) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

CUresult nm_mirror_read(Session& s, args::nm_mirror_read& a, outs::nm_mirror_read&) {
  uint8_t* here = s.host_ranges().find(a.address, a.size);
  if (!here) return CUDA_ERROR_INVALID_VALUE;
  // A copy, because the pages may be gone before the socket has taken them.
  auto* bytes = new std::vector<uint8_t>(here, here + a.size);
  s.reply(s.later(), CUDA_SUCCESS, {}, {*bytes}, [bytes] { delete bytes; });
  return kDeferred;
}

CUresult nm_managed_write(Session& s, args::nm_managed_write& a, outs::nm_managed_write&) {
  if (a.size != s.record().bulk || a.size > kMaxElements * 64) return CUDA_ERROR_INVALID_VALUE;
  std::vector<uint8_t> bytes(a.size);
  if (!s.read_bulk(bytes.data(), a.size)) return CUDA_ERROR_UNKNOWN;
  return s.driver().cuMemcpyHtoD_v2(a.address, bytes.data(), a.size);
}

CUresult nm_managed_read(Session& s, args::nm_managed_read& a, outs::nm_managed_read&) {
  if (a.size > kMaxElements * 64) return CUDA_ERROR_INVALID_VALUE;
  auto* bytes = new std::vector<uint8_t>(a.size);
  if (CUresult e = s.driver().cuMemcpyDtoH_v2(bytes->data(), a.address, a.size)) {
    delete bytes;
    return e;
  }
  s.reply(s.later(), CUDA_SUCCESS, {}, {*bytes}, [bytes] { delete bytes; });
  return kDeferred;
}

}  // namespace nm::server::hand
