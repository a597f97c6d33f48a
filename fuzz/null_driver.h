// A driver table whose functions do nothing and answer as answer.h says; memory that is asked for is real, up to a
// limit.
#pragma once

#include "answer.h"
#include "driver_table.h"

namespace nm::server {

const DriverTable& null_driver();
// Frees what the driver gave out since the last call.
void reset_null_driver();

}  // namespace nm::server
