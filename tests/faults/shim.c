/* A file system that fails at random, for tests: cc -shared -fPIC -O1 -o shim.so shim.c -ldl, then LD_PRELOAD it.

   FAULTS_ROOT         only what lies under this folder is disturbed
   FAULTS_KINDS        some of: eio estale enospc lost late inode (separated by commas)
   FAULTS_PROBABILITY  of an error, per call
   FAULTS_LATE_MS      how long what another process wrote may not be seen, or not all of it
   FAULTS_EXCEPT       names (parts of a path, separated by commas) that are left alone
   FAULTS_SEED         of the random numbers, together with the process's number

   eio, estale, enospc: the call fails and does nothing.  lost: it is carried out, and fails with EIO all the same.
   late: ENOENT for records that are there, an early end of files, listings without their newest entries; never of what
   this process itself made.  inode: st_ino is the true one plus a number of this program's own. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char root[PATH_MAX], except[1024];
static size_t root_length;
static double probability;
static long late_ms;
static int eio, estale, enospc, lost, late, inode;
static unsigned long long state, offset;
static pid_t seeded;
static unsigned long seed;
#define MADE 8192
static unsigned long long made[MADE]; /* hashes of paths that this process, or what forked it, made */

#define REAL(result, name, ...) \
    static result (*real_##name)(__VA_ARGS__); \
    static void find_##name(void) { if (!real_##name) real_##name = dlsym(RTLD_NEXT, #name); }

REAL(int, open64, const char *, int, ...)
REAL(int, openat64, int, const char *, int, ...)
REAL(int, link, const char *, const char *)
REAL(int, rename, const char *, const char *)
REAL(int, mkdir, const char *, mode_t)
REAL(int, unlink, const char *)
REAL(int, unlinkat, int, const char *, int)
REAL(int, rmdir, const char *)
REAL(int, stat64, const char *, struct stat64 *)
REAL(int, lstat64, const char *, struct stat64 *)
REAL(int, fstat64, int, struct stat64 *)
REAL(int, fstatat64, int, const char *, struct stat64 *, int)
REAL(DIR *, opendir, const char *)
REAL(struct dirent64 *, readdir64, DIR *)
REAL(ssize_t, read, int, void *, size_t)
REAL(ssize_t, write, int, const void *, size_t)
REAL(int, fsync, int)
REAL(int, ftruncate64, int, off64_t)
REAL(int, futimens, int, const struct timespec[2])

static int has(const char *list, const char *word) {
    const char *found = strstr(list, word);
    return found && (found == list || found[-1] == ',') && (!found[strlen(word)] || found[strlen(word)] == ',');
}

__attribute__((constructor)) static void set_up(void) {
    find_open64(); find_openat64(); find_link(); find_rename(); find_mkdir(); find_unlink(); find_unlinkat();
    find_rmdir(); find_stat64(); find_lstat64(); find_fstat64(); find_fstatat64(); find_opendir(); find_readdir64();
    find_read(); find_write(); find_fsync(); find_ftruncate64(); find_futimens();
    const char *value = getenv("FAULTS_ROOT"), *kinds = getenv("FAULTS_KINDS");
    if (!value || !kinds) return;
    snprintf(root, sizeof root, "%s", value);
    root_length = strlen(root);
    eio = has(kinds, "eio"), estale = has(kinds, "estale"), enospc = has(kinds, "enospc"), lost = has(kinds, "lost");
    late = has(kinds, "late"), inode = has(kinds, "inode");
    if ((value = getenv("FAULTS_PROBABILITY"))) probability = atof(value);
    if ((value = getenv("FAULTS_LATE_MS"))) late_ms = atol(value);
    if ((value = getenv("FAULTS_EXCEPT"))) snprintf(except, sizeof except, "%s", value);
    if ((value = getenv("FAULTS_SEED"))) seed = strtoul(value, 0, 10);
    if (inode) offset = 1000003ull * (unsigned long long)getpid();
}

static unsigned long long next(void) { /* splitmix64 */
    if (seeded != getpid()) {
        seeded = getpid();
        state = seed * 0x9e3779b97f4a7c15ull ^ (unsigned long long)seeded << 20;
    }
    unsigned long long z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static int happens(double share) { return (double)(next() >> 11) / 9007199254740992.0 < share; }

/* The absolute path, without links resolved; NULL where it is none of ours. */
static const char *ours(int folder, const char *path, char *into) {
    if (!root_length || !path) return NULL;
    if (path[0] == '/') {
        snprintf(into, PATH_MAX, "%s", path);
    } else {
        char name[64];
        if (folder == AT_FDCWD) snprintf(name, sizeof name, "/proc/self/cwd");
        else snprintf(name, sizeof name, "/proc/self/fd/%d", folder);
        ssize_t length = readlink(name, into, PATH_MAX - 1);
        if (length < 0) return NULL;
        if (*path) snprintf(into + length, PATH_MAX - length, "/%s", path);
        else into[length] = 0;
    }
    if (strncmp(into, root, root_length) || (into[root_length] && into[root_length] != '/')) return NULL;
    char names[sizeof except];
    strcpy(names, except);
    for (char *rest, *one = strtok_r(names, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        if (strstr(into, one)) return NULL;
    return into;
}

static const char *ours_fd(int fd, char *into) {
    return fd > 2 ? ours(fd, "", into) : NULL;
}

static unsigned long long hash(const char *path) {
    unsigned long long value = 1469598103934665603ull;
    for (; *path; path++) value = (value ^ (unsigned char)*path) * 1099511628211ull;
    return value ? value : 1;
}

static void remember(const char *path) {
    unsigned long long value = hash(path);
    for (int step = 0; step < 64; step++) {
        unsigned long long *place = &made[(value + step) % MADE];
        if (!*place || *place == value) { *place = value; return; }
    }
}

static int is_own(const char *path) {
    unsigned long long value = hash(path);
    for (int step = 0; step < 64; step++) {
        unsigned long long place = made[(value + step) % MADE];
        if (place == value) return 1;
        if (!place) return 0;
    }
    return 1;
}

static int is_young(const struct stat64 *status) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double age = (now.tv_sec - status->st_ctim.tv_sec) * 1e3 + (now.tv_nsec - status->st_ctim.tv_nsec) / 1e6;
    return age < late_ms;
}

/* Whether a record of somebody else is not to be seen yet. Files that grow are seen too short instead. */
static int is_late(const char *path) {
    struct stat64 status;
    size_t length = strlen(path);
    if (!late || (length > 6 && !strcmp(path + length - 6, ".jsonl"))) return 0;
    if (real_lstat64(path, &status) || !is_young(&status) || is_own(path)) return 0;
    if (S_ISDIR(status.st_mode) && status.st_nlink > 2) return 0;
    return happens(0.5);
}

static int fault(int writes) {
    int kinds[3], count = 0;
    if (eio) kinds[count++] = EIO;
    if (estale) kinds[count++] = ESTALE;
    if (enospc && writes) kinds[count++] = ENOSPC;
    if (!count || !happens(probability)) return 0;
    errno = kinds[next() % count];
    return 1;
}

static int answer(int result) { /* of something that was done */
    if (result >= 0 && lost && happens(probability)) {
        errno = EIO;
        return -1;
    }
    return result;
}

static int open_ours(int folder, const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    if (!ours(folder, path, full)) return real_openat64(folder, path, flags, mode);
    if (fault(flags & O_CREAT)) return -1;
    if (!(flags & O_CREAT) && is_late(full)) {
        errno = ENOENT;
        return -1;
    }
    int fd = real_openat64(folder, path, flags, mode);
    if (fd >= 0 && flags & (O_CREAT | O_WRONLY | O_RDWR)) remember(full);
    if (fd >= 0 && flags & O_EXCL && answer(fd) < 0) {
        close(fd);
        errno = EIO;
        return -1;
    }
    return fd;
}

#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { \
    va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open64(const char *path, int flags, ...) { MODE return open_ours(AT_FDCWD, path, flags, mode); }
int open(const char *path, int flags, ...) { MODE return open_ours(AT_FDCWD, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE return open_ours(folder, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE return open_ours(folder, path, flags, mode); }

int link(const char *old, const char *new) {
    char full[PATH_MAX];
    if (!ours(AT_FDCWD, new, full)) return real_link(old, new);
    if (fault(1)) return -1;
    int result = real_link(old, new);
    if (!result) remember(full);
    return answer(result);
}

int rename(const char *old, const char *new) {
    char full[PATH_MAX];
    if (!ours(AT_FDCWD, new, full)) return real_rename(old, new);
    if (fault(1)) return -1;
    int result = real_rename(old, new);
    if (!result) remember(full);
    return answer(result);
}

int mkdir(const char *path, mode_t mode) {
    char full[PATH_MAX];
    if (!ours(AT_FDCWD, path, full)) return real_mkdir(path, mode);
    if (fault(1)) return -1;
    int result = real_mkdir(path, mode);
    if (!result) remember(full);
    return answer(result);
}

int unlink(const char *path) {
    char full[PATH_MAX];
    if (ours(AT_FDCWD, path, full) && fault(0)) return -1;
    return real_unlink(path);
}

int unlinkat(int folder, const char *path, int flags) {
    char full[PATH_MAX];
    if (ours(folder, path, full) && fault(0)) return -1;
    return real_unlinkat(folder, path, flags);
}

int rmdir(const char *path) {
    char full[PATH_MAX];
    if (ours(AT_FDCWD, path, full) && fault(0)) return -1;
    return real_rmdir(path);
}

static int look(const char *full, int result, struct stat64 *status) {
    if (result) return result;
    if (fault(0)) return -1;
    if (is_late(full)) {
        errno = ENOENT;
        return -1;
    }
    status->st_ino += offset;
    return 0;
}

int stat64(const char *path, struct stat64 *status) {
    char full[PATH_MAX];
    int result = real_stat64(path, status);
    return ours(AT_FDCWD, path, full) ? look(full, result, status) : result;
}

int lstat64(const char *path, struct stat64 *status) {
    char full[PATH_MAX];
    int result = real_lstat64(path, status);
    return ours(AT_FDCWD, path, full) ? look(full, result, status) : result;
}

int fstatat64(int folder, const char *path, struct stat64 *status, int flags) {
    char full[PATH_MAX];
    int result = real_fstatat64(folder, path, status, flags);
    return ours(folder, path, full) ? look(full, result, status) : result;
}

int fstat64(int fd, struct stat64 *status) {
    char full[PATH_MAX];
    int result = real_fstat64(fd, status);
    if (!result && offset && ours_fd(fd, full)) status->st_ino += offset;
    return result;
}

DIR *opendir(const char *path) {
    char full[PATH_MAX];
    if (ours(AT_FDCWD, path, full) && fault(0)) return NULL;
    return real_opendir(path);
}

struct dirent64 *readdir64(DIR *folder) {
    char full[PATH_MAX];
    struct dirent64 *entry;
    while ((entry = real_readdir64(folder)) && entry->d_name[0] != '.' && ours(dirfd(folder), entry->d_name, full)) {
        entry->d_ino += offset;
        if (!late || !is_late(full)) break;
    }
    return entry;
}

ssize_t read(int fd, void *into, size_t size) {
    char full[PATH_MAX];
    if (ours_fd(fd, full)) {
        struct stat64 status;
        if (fault(0)) return -1;
        if (late && !real_fstat64(fd, &status) && is_young(&status) && !is_own(full) && happens(0.3))
            return size > 64 ? real_read(fd, into, 24) : 0;
    }
    return real_read(fd, into, size);
}

ssize_t write(int fd, const void *data, size_t size) {
    char full[PATH_MAX];
    if (!ours_fd(fd, full)) return real_write(fd, data, size);
    if (fault(1)) {
        if (size > 1 && next() & 1) (void)!real_write(fd, data, size / 2); /* some of it may be there */
        return -1;
    }
    ssize_t written = real_write(fd, data, size);
    return answer((int)written);
}

int fsync(int fd) {
    char full[PATH_MAX];
    return ours_fd(fd, full) && fault(1) ? -1 : real_fsync(fd);
}

int ftruncate64(int fd, off64_t size) {
    char full[PATH_MAX];
    return ours_fd(fd, full) && fault(1) ? -1 : real_ftruncate64(fd, size);
}

int futimens(int fd, const struct timespec times[2]) {
    char full[PATH_MAX];
    return ours_fd(fd, full) && fault(0) ? -1 : real_futimens(fd, times);
}
