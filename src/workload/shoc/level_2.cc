// The table of SHOC's level 2.
#include "workload/shoc/programs.h"
#include "workload/suites.h"

namespace nm::workload {

std::span<const Program> shoc_level_2() {
  static constexpr Program kPrograms[] = {
      {"QTC", "shoc", 2, true, "quality threshold clustering of points in a plane", shoc::qtc},
      {"S3D", "shoc", 2, true, "how fast chemical species form, at the points of a grid", shoc::s3d},
  };
  return kPrograms;
}

}  // namespace nm::workload
