// A driver table whose functions do nothing and succeed; memory that is asked for is real, up to a limit.
#pragma once

#include "driver_table.h"

namespace nm::server {

const DriverTable& null_driver();
// Frees what the driver gave out since the last call.
void reset_null_driver();

}  // namespace nm::server
