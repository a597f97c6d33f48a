// What kernels print: the driver writes it to this process's standard output, the client's program expects it on its own.
#pragma once

#include <string>

#include "base/fd.h"

namespace nm::server {

class Output {
 public:
  Output();  // takes over descriptor 1 of this process
  // What has come since the last call.
  std::string take();

 private:
  Fd read_end_;
};

}  // namespace nm::server
