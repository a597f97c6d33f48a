#include "client/image_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>

#include "client/client.h"
#include "client/fatbin.h"
#include "client/statistics.h"
#include "remote.h"
#include "wire/image_name.h"
#include "wire/packed.h"

namespace nm::client {
namespace {

constexpr size_t kWorthAsking = 16 << 10;  // bytes: less travels as fast as the question
constexpr uint32_t kKeep = 0x200;          // of nm_module_load's form: the server is to keep it
enum Known : uint32_t { kUnknown = 0, kKnown = 1, kKeepsNone = 2 };

// This server keeps no images: asking would cost a round trip each time.
std::atomic<bool> g_keeps_none{false};
// Its driver refused machine code and took the image with its PTX: it will again.
std::atomic<bool> g_wants_ptx{false};

bool set(const char* value) { return value && *value && strcmp(value, "0") != 0; }

// A wish that the driver compile PTX although there is machine code.
bool wants_ptx() { return g_wants_ptx || set(getenv("CUDA_FORCE_PTX_JIT")); }

bool wants_whole() { return set(getenv("NEARMETAL_WHOLE_IMAGES")); }

bool may_ask() {
  const char* wish = getenv("NEARMETAL_IMAGE_CACHE");
  return !g_keeps_none && !(wish && strcmp(wish, "0") == 0);
}

bool wants_packing() {
  const char* wish = getenv("NEARMETAL_COMPRESS");
  if (!wish || !*wish) return false;
  if (strcmp(wish, "lz4") == 0) return true;
  static std::atomic<bool> said{false};
  if (!said.exchange(true)) {
    fprintf(stderr, "nearmetal: NEARMETAL_COMPRESS=%s is no way to compress: set it to lz4, or not at all.\n", wish);
  }
  return false;
}

std::vector<Architecture> architectures() {
  std::vector<Architecture> all;
  for (const wire::DeviceFacts& device : Client::get()->facts().devices) {
    const auto value = [&](size_t a) { return a < device.attribute_value.size() ? device.attribute_value[a] : 0; };
    const int major = value(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    const int minor = value(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    if (major <= 0 || minor < 0 || minor > 9) return {};
    all.push_back({static_cast<uint32_t>(major), static_cast<uint32_t>(minor)});
  }
  return all;
}

// Whether another image might have been answered otherwise.
bool is_about_the_image(CUresult status) {
  return status == CUDA_ERROR_INVALID_VALUE || (status >= 200 && status < 400) || status == CUDA_ERROR_NOT_SUPPORTED;
}

void trace(const char* what, size_t bytes) {
  if (Client::get()->traced()) fprintf(stderr, "nearmetal: image of %zu bytes: %s\n", bytes, what);
}

class Loader {
 public:
  Loader(uint64_t handle, uint32_t how, const JitOptions& options, CUresult* status, std::vector<uint8_t>* logs)
      : handle_(handle), how_(how), options_(options), status_(status), logs_(logs) {}

  CUresult load(std::span<const uint8_t> image) {
    if (image.size() < kWorthAsking || !may_ask()) return send(image, how_);
    const wire::Digest name = wire::image_name(image);
    const wire::Digest proof = wire::image_proof(Client::get()->channel().token(), name, image);
    uint32_t known = kUnknown;
    int status = 0;
    const auto& o = options_.encoded();
    if (CUresult e = remote::nm_image_load(handle_, how_, o.data(), o.size(), name.data(), proof.data(), image.size(),
                                           &known, &status, logs_)) {
      return e;
    }
    if (known == kKnown) {
      *status_ = static_cast<CUresult>(status);
      Statistics::image_found(image.size());
      trace("the server has it", image.size());
      return CUDA_SUCCESS;
    }
    if (known == kKeepsNone) g_keeps_none = true;
    return send(image, known == kKeepsNone ? how_ : how_ | kKeep);
  }

 private:
  CUresult send(std::span<const uint8_t> image, uint32_t how) {
    std::vector<uint8_t> packed;
    if (wants_packing() && !holds_compressed({image.data(), image.size()})) packed = wire::pack(image);
    const std::span<const uint8_t> bytes = packed.empty() ? image : packed;
    const auto packing = packed.empty() ? wire::Packing::none : wire::Packing::lz4;
    int status = 0;
    const auto& o = options_.encoded();
    if (CUresult e = remote::nm_module_load(handle_, how, o.data(), o.size(), static_cast<uint32_t>(packing),
                                            image.size(), bytes.data(), bytes.size(), &status, logs_)) {
      return e;
    }
    *status_ = static_cast<CUresult>(status);
    Statistics::image_sent(bytes.size());
    trace(packed.empty() ? "sent" : "sent, before it was packed", image.size());
    return CUDA_SUCCESS;
  }

  uint64_t handle_;
  uint32_t how_;
  const JitOptions& options_;
  CUresult* status_;
  std::vector<uint8_t>* logs_;
};

}  // namespace

CUresult load_image(uint64_t handle, uint32_t how, const JitOptions& options, const Image& image, CUresult* status,
                    std::vector<uint8_t>* logs) {
  const std::span whole(static_cast<const uint8_t*>(image.data), image.size);
  if (Client::get()->channel().shares_memory()) {
    int answer = 0;
    const auto& o = options.encoded();
    const CUresult e = remote::nm_module_load(handle, how, o.data(), o.size(), 0, whole.size(), whole.data(),
                                              whole.size(), &answer, logs);
    *status = static_cast<CUresult>(answer);
    return e;
  }
  Loader loader(handle, how, options, status, logs);
  std::vector<uint8_t> part;
  if (options.only_report() && !wants_whole()) part = needed_part(image, architectures(), wants_ptx());
  if (part.empty()) return loader.load(whole);
  const bool had_ptx = wants_ptx();
  if (CUresult e = loader.load(part)) return e;
  if (!is_about_the_image(*status)) {
    Statistics::image_left_out(whole.size() - part.size());
    return CUDA_SUCCESS;
  }
  // The driver is the judge of what it can use: it says so about the whole, too.
  trace("refused, so the whole goes", part.size());
  if (CUresult e = loader.load(whole)) return e;
  if (*status == CUDA_SUCCESS && !had_ptx) g_wants_ptx = true;
  return CUDA_SUCCESS;
}

}  // namespace nm::client
