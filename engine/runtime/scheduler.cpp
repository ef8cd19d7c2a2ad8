// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/runtime/scheduler.h"

#include <algorithm>
#include <utility>

namespace tandem::runtime {

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
  waiting_.push_back(std::move(sequence));
}

SchedulerOutput Scheduler::schedule() {
  while (!waiting_.empty() && running() < limits_.maxRunning) {
    running_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  SchedulerOutput output;
  std::int64_t room = limits_.prefillChunkTokens;
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    if (sequence->unfedTokens() == 1) {
      output.chunks.push_back({sequence.get(), 1, true});
    }
  }
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    const std::int64_t unfed = sequence->unfedTokens();
    if (unfed > 1 && room > 0) {
      const std::int64_t count = std::min(unfed, room);
      output.chunks.push_back({sequence.get(), count, count == unfed});
      room -= count;
    }
  }
  return output;
}

Sequence* Scheduler::find(const std::string& id) {
  for (const Queue* queue : {&running_, &waiting_}) {
    for (const std::unique_ptr<Sequence>& sequence : *queue) {
      if (sequence->id == id) {
        return sequence.get();
      }
    }
  }
  return nullptr;
}

Sequence* Scheduler::oldest() {
  for (const Queue* queue : {&running_, &waiting_}) {
    if (!queue->empty()) {
      return queue->front().get();
    }
  }
  return nullptr;
}

std::unique_ptr<Sequence> Scheduler::remove(const std::string& id) {
  for (Queue* queue : {&running_, &waiting_}) {
    const auto found = std::find_if(queue->begin(), queue->end(), [&](const auto& sequence) {
      return sequence->id == id;
    });
    if (found != queue->end()) {
      std::unique_ptr<Sequence> sequence = std::move(*found);
      queue->erase(found);
      return sequence;
    }
  }
  return nullptr;
}

std::int64_t Scheduler::fedTokens() const {
  std::int64_t total = 0;
  for (const std::unique_ptr<Sequence>& sequence : running_) {
    total += sequence->fedTokens;
  }
  return total;
}

}  // namespace tandem::runtime
