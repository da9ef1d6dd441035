/* The system's clock as tests set it, for a process that this library is loaded into beforehand (LD_PRELOAD).
 *
 * MILLRACE_TEST_CLOCK names a file of eight bytes: by how many seconds the clock is ahead of the time. The monotonic clock goes on as it is.
 * A wait until a time of the system's clock ends when that clock shows the time, as it does in Linux: one that is set back makes it longer. (libfaketime
 * turns the time into that of the true clock when the wait begins.) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static const int64_t unset = 0;
static const volatile int64_t *ahead = &unset;

__attribute__((constructor)) static void open_clock(void) {
    const char *path = getenv("MILLRACE_TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) abort();
    const void *shared = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED) abort();
    close(file);
    ahead = shared;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *ahead;
    return result;
}

int timespec_get(struct timespec *time, int base) { return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0; }

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *given) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (given) *given = now.tv_sec;
    return now.tv_sec;
}

/* Looks at the clock 100 times a second. */
int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    const int64_t second = 1000000000, look = second / 100;
    for (;;) {
        struct timespec now, slice;
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t left = (int64_t)(until->tv_sec - now.tv_sec) * second + (until->tv_nsec - now.tv_nsec);
        if (left <= 0) return ETIMEDOUT;
        clock_gettime(CLOCK_MONOTONIC, &slice);
        int64_t end = slice.tv_nsec + (left < look ? left : look);
        slice.tv_sec += end / second;
        slice.tv_nsec = end % second;
        int result = pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &slice);
        if (result != ETIMEDOUT) return result;
    }
}

/* librdkafka waits by C11's function, whose types are POSIX's under other names. */
int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    int result = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until);
    return result == 0 ? thrd_success : result == ETIMEDOUT ? thrd_timedout : thrd_error;
}
