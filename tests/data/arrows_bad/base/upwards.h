// Wrong on purpose: tests/arrows_test.py must find it.
#include "client/client.h"
