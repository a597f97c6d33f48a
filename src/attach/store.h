// What outlives the process: the journal, the attachments, and which GPUs must not be touched. One SQLite file,
// state.db (docs/decisions/0017-attach.md says why SQLite is good enough for a journal). Every function is one
// transaction, on the disk when it returns; an error means that nothing of it is there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attach/attachment.h"
#include "base/result.h"

struct sqlite3;

namespace nm::attach {

struct Quarantine {
  PciAddress gpu;
  std::string reason;  // a sentence
  int64_t since = 0;
};

class Store {
 public:
  // Makes the directory and the file where they are not there.
  static Result<Store> open(const std::string& directory);
  // To look only: what is not there is empty, and nothing is made.
  static Result<Store> open_to_read(const std::string& directory);

  // Of a GPU that has an operation in the journal already, another cannot begin.
  Result<void> begin(Operation& operation);  // gives it its number
  Result<void> set_phase(const Operation& operation, size_t step, Phase phase);
  Result<void> note(const Operation& operation);  // who took it over, what is stuck, and the trouble
  // The operation leaves the journal, and of its GPU the store says `now`.
  Result<void> conclude(const Operation& operation, const std::optional<Attachment>& now);
  Result<std::vector<Operation>> operations();

  Result<std::vector<Attachment>> attachments();
  Result<std::optional<Attachment>> attachment(const PciAddress& gpu);
  Result<void> put(const Attachment& attachment);
  Result<void> erase(const PciAddress& gpu);

  Result<void> quarantine(const PciAddress& gpu, const std::string& reason);
  Result<void> lift_quarantine(const PciAddress& gpu);
  Result<std::vector<Quarantine>> quarantined();

  const std::string& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  class Statement;
  class Transaction;
  Store(std::string path, std::unique_ptr<sqlite3, Closer> database)
      : path_(std::move(path)), database_(std::move(database)) {}
  Error failed(const std::string& what) const;
  Result<void> execute(const char* sql);
  Result<void> make_tables();

  std::string path_;
  std::unique_ptr<sqlite3, Closer> database_;  // null: there is no file, and all is empty
};

// NEARMETAL_STATE_DIR, else /var/lib/nearmetal/attach.
std::string state_directory();

}  // namespace nm::attach
