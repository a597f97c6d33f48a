// variants: sp
// BFS: one level of a breadth-first search. The vertices of the current level stand in a queue; `lanes` threads walk
// along one vertex's neighbours together. Who turns a neighbour's level from unseen into the next puts it into the next
// queue: first into the block's, in shared memory, which goes out in one piece, so that the queue's end, which all blocks
// share, is moved seldom.
#include "dialect.h"

#define THREADS 256
#define UNSEEN (-1)
#define ROOM 3072   // of a block's queue
#define ENOUGH 2048  // from where it is emptied

DEVICE void empty_queue(SHARED_POINTER int* queue, SHARED_POINTER int* length, SHARED_POINTER int* place,
                        GLOBAL int* next, GLOBAL int* next_length) {
  // All threads come here; the queue is complete.
  const int count = *length < ROOM ? *length : ROOM;
  if (THREAD_X == 0 && count > 0) *place = ATOMIC_ADD_INT(next_length, count);
  BARRIER();
  for (int i = THREAD_X; i < count; i += THREADS) next[*place + i] = queue[i];
  BARRIER();
  if (THREAD_X == 0) *length = 0;
  BARRIER();
}

// `lengths` is a ring of three: of this level's queue at `level` % 3, then of the next one, then one to be cleared.
KERNEL void MAX_THREADS(THREADS)
    bfs_level(GLOBAL const int* RESTRICT offsets, GLOBAL const int* RESTRICT edges, GLOBAL int* levels,
              GLOBAL const int* queue, GLOBAL int* next, GLOBAL int* lengths, int level, int lanes) {
  SHARED int mine[ROOM];
  SHARED int length[1];
  SHARED int place[1];
  const int count = lengths[level % 3];
  if (GLOBAL_X == 0) lengths[(level + 2) % 3] = 0;
  const int vertices = THREADS / lanes, lane = THREAD_X % lanes;
  if (BLOCK_X * vertices >= count) return;
  if (THREAD_X == 0) length[0] = 0;
  BARRIER();
  for (int first = BLOCK_X * vertices; first < count; first += BLOCKS_X * vertices) {
    const int i = first + THREAD_X / lanes;
    if (i < count) {
      const int vertex = queue[i];
      const int end = offsets[vertex + 1];
      for (int e = offsets[vertex] + lane; e < end; e += lanes) {
        const int other = edges[e];
        if (levels[other] == UNSEEN && ATOMIC_CAS_INT(levels + other, UNSEEN, level + 1) == UNSEEN) {
          const int at = ATOMIC_ADD_INT(length, 1);
          if (at < ROOM) {
            mine[at] = other;
          } else {
            next[ATOMIC_ADD_INT(lengths + (level + 1) % 3, 1)] = other;
          }
        }
      }
    }
    BARRIER();
    const int full = length[0] >= ENOUGH;
    BARRIER();
    if (full) empty_queue(mine, length, place, next, lengths + (level + 1) % 3);
  }
  empty_queue(mine, length, place, next, lengths + (level + 1) % 3);
}

KERNEL void bfs_begin(GLOBAL int* levels, GLOBAL int* queue, GLOBAL int* lengths, int source) {
  if (GLOBAL_X != 0) return;
  levels[source] = 0;
  queue[0] = source;
  lengths[0] = 1;
  lengths[1] = lengths[2] = 0;
}
