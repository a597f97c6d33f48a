// Kernel images that clients sent, kept by content in a directory that all workers share and that outlives them.
//
// One file an image, named by the SHA-256 of its bytes, mode 0600. Nothing in the directory is believed: an image is
// used only if the bytes that were read have the hash that was asked for. So files may be damaged, cut short or taken
// away at any time, by anybody: the image is then asked for again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "wire/image_name.h"

namespace nm::server {

class ImageCache {
 public:
  ImageCache() = default;  // keeps nothing
  // Makes the directory if need be, with mode 0700. `limit`: bytes that all images together may take.
  static Result<ImageCache> open(const std::string& directory, uint64_t limit);

  bool keeps() const { return static_cast<bool>(directory_); }
  // The image of this name; none: it is not here, has another size, or was damaged (then its file is gone).
  std::optional<std::vector<uint8_t>> find(const wire::Digest& name, uint64_t size);
  // Keeps `image` under the name of what it holds; the images that nobody asked for longest make room. False: it is not
  // kept, because it is larger than the limit or the disk is full, say.
  bool store(std::span<const uint8_t> image);

 private:
  void make_room(uint64_t size, uint64_t* total);

  Fd directory_;
  uint64_t limit_ = 0;
};

}  // namespace nm::server
