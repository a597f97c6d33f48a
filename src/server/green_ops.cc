// Parts of a device: splitting its multiprocessors, and the streams of green contexts.
#include "server/session.h"
#include "server_args.h"

namespace nm::server::hand {

CUresult nm_resource_split(Session& s, args::nm_resource_split& a, outs::nm_resource_split& o) {
  constexpr uint32_t kMostGroups = 1024;  // more than any device has multiprocessors
  if (!s.driver().cuDevSmResourceSplitByCount) return CUDA_ERROR_NOT_SUPPORTED;
  if (a.groups > kMostGroups) return CUDA_ERROR_INVALID_VALUE;
  std::vector<CUdevResource> parts(a.want_parts ? a.groups : 0);
  unsigned number = a.groups;
  CUresult result =
      s.driver().cuDevSmResourceSplitByCount(a.want_parts ? parts.data() : nullptr, &number, &a.input,
                                             a.want_remaining ? &o.remaining : nullptr, a.use_flags, a.min_count);
  if (result != CUDA_SUCCESS) return result;
  o.number = number;
  parts.resize(std::min<size_t>(parts.size(), number));
  auto* bytes = reinterpret_cast<const uint8_t*>(parts.data());
  o.parts.assign(bytes, bytes + parts.size() * sizeof(CUdevResource));
  return CUDA_SUCCESS;
}

CUresult cuGreenCtxStreamCreate(Session& s, args::cuGreenCtxStreamCreate& a, outs::cuGreenCtxStreamCreate& o) {
  if (!s.driver().cuGreenCtxStreamCreate) return CUDA_ERROR_NOT_SUPPORTED;
  CUresult result = s.driver().cuGreenCtxStreamCreate(&o.stream, a.green_ctx, a.flags, a.priority);
  if (result == CUDA_SUCCESS) s.add_stream(o.stream, a.flags);
  return result;
}

CUresult nm_stream_contexts(Session& s, args::nm_stream_contexts& a, outs::nm_stream_contexts& o) {
  if (CUresult e = s.driver().cuStreamGetCtx(a.stream, &o.ctx)) return e;
  o.plain = o.ctx;
  return s.driver().cuStreamGetCtx_v2 ? s.driver().cuStreamGetCtx_v2(a.stream, &o.plain, &o.green) : CUDA_SUCCESS;
}

}  // namespace nm::server::hand
