// Host memory of the client that the device can reach (host_ranges.h), and managed variables of modules.
#include "server/session.h"
#include "server_args.h"

namespace nm::server::hand {

CUresult nm_host_share(Session& s, args::nm_host_share& a, outs::nm_host_share& o) {
  return s.host_ranges().share(a.address, a.size, a.offset, s.connection().take_fd(), s.context(), &o.device_pointer);
}

CUresult nm_host_mirror(Session& s, args::nm_host_mirror& a, outs::nm_host_mirror& o) {
  // The program's own pages may lie where this process has something: the device then sees them elsewhere.
  bool exact = a.address % 4096 == 0 && a.size % 4096 == 0;
  CUresult e = s.host_ranges().mirror(a.address, a.size, exact, s.context(), &o.device_pointer);
  if (e == CUDA_ERROR_ALREADY_MAPPED && !a.managed) {
    e = s.host_ranges().mirror(a.address, a.size, false, s.context(), &o.device_pointer);
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
  auto bytes = std::make_shared<const std::vector<uint8_t>>(here, here + a.size);
  s.push_first();
  s.reply(s.later(), CUDA_SUCCESS, {}, {*bytes}, [bytes] {});
  return kDeferred;
}

CUresult cuLibraryGetManaged(Session& s, args::cuLibraryGetManaged& a, outs::cuLibraryGetManaged& o) {
  if (!s.driver().cuLibraryGetManaged) return CUDA_ERROR_NOT_SUPPORTED;
  CUresult e = s.driver().cuLibraryGetManaged(&o.dptr, &o.bytes, a.library, a.name.c_str());
  if (e == CUDA_SUCCESS) s.managed_variables()[o.dptr] = o.bytes;
  return e;
}

// A managed variable is host memory, too: read and written here as a local program would, even before any context.
CUresult nm_managed_write(Session& s, args::nm_managed_write& a, outs::nm_managed_write&) {
  if (a.size != s.record().bulk || !s.is_managed_variable(a.address, a.size)) return CUDA_ERROR_INVALID_VALUE;
  return s.read_bulk(reinterpret_cast<void*>(a.address), a.size) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

CUresult nm_managed_read(Session& s, args::nm_managed_read& a, outs::nm_managed_read&) {
  if (!s.is_managed_variable(a.address, a.size)) return CUDA_ERROR_INVALID_VALUE;
  auto* here = reinterpret_cast<const uint8_t*>(a.address);
  auto bytes = std::make_shared<const std::vector<uint8_t>>(here, here + a.size);
  s.push_first();
  s.reply(s.later(), CUDA_SUCCESS, {}, {*bytes}, [bytes] {});
  return kDeferred;
}

}  // namespace nm::server::hand
