/* A library that is no driver, for the tests of --driver. */
__attribute__((visibility("default"))) int other_library(void) { return 0; }
