/* Preloaded into a command: lets the n-th call that writes below the current folder fail, or wait.

   A process is armed by campaign_arm(); until then nothing fails, and nothing is counted. Files are
   those below the folder that was the current one then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define WAIT 5000 /* microseconds */

static char root[PATH_MAX];
static size_t length;
static long calls, failing;
static int error, lasting;

/* From now on: the `at`-th call fails with `number`, and all later ones if `forever`. With the
   number 0 they do not fail, but take WAIT longer. */
void campaign_arm(long at, int number, int forever)
{
    length = getcwd(root, sizeof root) ? strlen(root) : 0;
    calls = 0;
    failing = at;
    error = number;
    lasting = forever;
}

long campaign_calls(void)
{
    return calls;
}

static int fails(void)
{
    long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    if (failing && (number == failing || (lasting && number > failing))) {
        if (!error) {
            usleep(WAIT);
            return 0;
        }
        errno = error;
        return 1;
    }
    return 0;
}

static int is_ours(const char *path)
{
    return strncmp(path, root, length) == 0 && path[length] == '/';
}

static int fails_at(int folder, const char *path)
{
    char where[PATH_MAX] = "";
    if (!length)
        return 0;
    if (path[0] == '/')
        return is_ours(path) && fails();
    if (folder == AT_FDCWD)
        return fails();
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t n = readlink(link, where, sizeof where - 1);
    if (n < 0 || (strcmp(where, root) != 0 && !is_ours(where)))
        return 0;
    return fails();
}

static int fails_on(int file)
{
    char link[64], where[PATH_MAX] = "";
    if (!length)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, where, sizeof where - 1);
    return n > 0 && is_ours(where) && fails();
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *data, size_t size)
{
    return fails_on(file) ? -1 : NEXT(write)(file, data, size);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file)
{
    return fails_on(fileno(file)) ? 0 : NEXT(fwrite)(data, size, count, file);
}

int fsync(int file)
{
    return fails_on(file) ? -1 : NEXT(fsync)(file);
}

int ftruncate(int file, off_t size)
{
    return fails_on(file) ? -1 : NEXT(ftruncate)(file, size);
}

int mkdir(const char *path, mode_t mode)
{
    return fails_at(AT_FDCWD, path) ? -1 : NEXT(mkdir)(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    return fails_at(folder, path) ? -1 : NEXT(mkdirat)(folder, path, mode);
}

int rename(const char *from, const char *to)
{
    return fails_at(AT_FDCWD, to) ? -1 : NEXT(rename)(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return fails_at(to_folder, to) ? -1 : NEXT(renameat)(from_folder, from, to_folder, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (fails_at(to_folder, to))
        return -1;
    return NEXT(renameat2)(from_folder, from, to_folder, to, flags);
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return flags & O_CREAT && fails_at(AT_FDCWD, path) ? -1 : NEXT(open64)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return flags & O_CREAT && fails_at(AT_FDCWD, path) ? -1 : NEXT(open)(path, flags, mode);
}
