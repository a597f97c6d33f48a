#include <stdio.h>
#include <sys/utsname.h>

#include "bench/fingerprint.h"
#include "bench/json_line.h"

namespace nm::bench {

Json fingerprint(const std::string& when) {
  utsname name = {};
  ::uname(&name);
  char boot[64] = "";
  if (FILE* file = ::fopen("/proc/sys/kernel/random/boot_id", "re")) {
    if (::fscanf(file, "%63s", boot) != 1) boot[0] = 0;
    ::fclose(file);
  }
  return {{"when", when}, {"host", plain(name.nodename)}, {"boot", plain(boot)}, {"kernel", plain(name.release)}};
}

}  // namespace nm::bench
