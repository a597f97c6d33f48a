// One function and one file per verb. Arguments are what follows the verb; the result is the exit status.
#pragma once

#include <string>
#include <vector>

namespace nm::cmd {

using Args = std::vector<std::string>;

int run_verb(const Args& args);
int gpus_verb(const Args& args);
int doctor_verb(const Args& args);
int attach_verb(const Args& args);
int detach_verb(const Args& args);
int release_verb(const Args& args);
int recover_verb(const Args& args);
int status_verb(const Args& args);
int top_verb(const Args& args);
int bench_verb(const Args& args);
int vm_verb(const Args& args);
int pool_verb(const Args& args);
int serve_verb(const Args& args);  // becomes nearmetald
int version_verb(const Args& args);

int gpus_probe_verb(const Args& args);  // hidden: what `gpus` runs with our client library loaded
int courier_verb(const Args& args);     // hidden: what makes a program's encrypted connections

}  // namespace nm::cmd
