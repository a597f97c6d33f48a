#include "order/shrink.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "order/clocks.h"

namespace order {
namespace {

bool fails(const std::vector<std::string>& command, const std::vector<int>& ids) {
  std::vector<std::string> words = command;
  words.push_back("--keep");
  words.push_back(write_list(ids));
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = fork();
  if (child == 0) {
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    execv(argv[0], argv.data());
    _exit(0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && status != 0;
}

}  // namespace

std::vector<int> shrink(const Program& program, std::vector<int> ids, const std::vector<std::string>& command) {
  auto is_wait = [&](int id) {
    const Op& op = program.ops[static_cast<size_t>(id)];
    return accesses(program, op).empty() || !is_work(op);
  };
  auto without = [&](size_t from, size_t count, bool waits) {
    std::vector<int> left;
    for (size_t i = 0; i < ids.size(); i++) {
      bool drop = i >= from && i < from + count && (waits || !is_wait(ids[i]));
      if (!drop) left.push_back(ids[i]);
    }
    return left;
  };
  bool smaller = true;
  while (smaller) {
    smaller = false;
    for (size_t chunk = std::max<size_t>(ids.size() / 2, 1); chunk; chunk /= 2) {
      for (size_t from = 0; from < ids.size();) {
        bool dropped = false;
        for (bool waits : {true, false}) {  // work may always go; what orders it, only if nothing needs it
          auto left = without(from, chunk, waits);
          if (left.size() == ids.size() || !verify(keep_only(program, left)).empty() || !fails(command, left)) continue;
          ids = std::move(left);
          dropped = smaller = true;
          break;
        }
        if (!dropped) from += chunk;
      }
      fprintf(stderr, "order: %zu operations left (pieces of %zu)\n", ids.size(), chunk);
    }
  }
  return ids;
}

}  // namespace order
