// Keeps leases alive for a process that holds something by them, and tells it in time when it does not any more.
//
// A lease's holder must let go before the store gives what it holds to somebody else. The store counts from when the
// last keep-alive reached it, and the holder cannot know when that was; it counts from when it sent the last one that
// was answered, which was earlier. So `lost` is called a little before that is a time to live ago, on the holder's own
// clock, whether or not the store can be reached.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "store/boot_clock.h"
#include "store/store.h"

namespace nm::store {

class Keeper {
 public:
  // Called once for a lease, on a thread of the keeper's, and not after release(). `why` is a sentence.
  using Lost = std::function<void(LeaseId lease, const std::string& why)>;

  explicit Keeper(Store& store, const BootClock& clock = boot_clock());
  // Leases that are kept are let run out; revoke those that shall end now.
  ~Keeper();

  // `asked` is clock.now() from before the grant was asked for.
  void keep(const Grant& grant, Millis asked, Lost lost);
  // Keeps it no longer. When it returns, `lost` does not run and will not, unless this is called from it.
  void release(LeaseId lease);

 private:
  struct Kept {
    Millis ttl;
    Millis sent;  // the last keep-alive that was answered
    Millis next;  // when it is to be sent again
    bool gone;    // the store says so
    std::string why;
    Lost lost;
  };
  void renew();  // a thread: it may have to wait for the store
  void renew_due(std::unique_lock<std::mutex>& lock);
  void guard();  // another: it never waits for anything but time

  Store& store_;
  const BootClock& clock_;
  std::mutex mutex_;  // over all that follows; not held while the store is asked or `lost` runs
  std::condition_variable changed_;
  bool stopping_ = false;
  LeaseId losing_ = 0;  // whose `lost` runs just now
  std::map<LeaseId, Kept> kept_;
  std::thread renewing_, guarding_;
};

}  // namespace nm::store
