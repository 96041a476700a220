/* Preloaded into a command: lets a chosen call that writes below the current folder fail or wait, or
   kills the process there.

   A process is armed by campaign_arm(); until then nothing happens, and nothing is noted. Files are
   those below the folder that was the current one then. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define WAIT 5000 /* microseconds */

static char root[PATH_MAX];
static size_t length;
static regex_t chosen;
static long calls, failing;
static int error, lasting, begun, notes;

/* From now on, of the calls for files whose names `names` matches, the `at`-th one (0: none) fails
   with `number`, and so do all later ones of all files if `forever`. With the number 0 they do not
   fail, but take WAIT longer; with -9, say, the process gets signal 9 there. Each call is noted in
   the file `file`: a line of the name, after a minus if the call removes it. */
void campaign_arm(const char *names, long at, int number, int forever, int file)
{
    if (regcomp(&chosen, names, REG_EXTENDED | REG_NOSUB))
        return;
    length = getcwd(root, sizeof root) ? strlen(root) : 0;
    calls = 0;
    failing = at;
    error = number;
    lasting = forever;
    begun = 0;
    notes = file;
}

static int fails(const char *sign, const char *name)
{
    char line[2 * PATH_MAX];
    snprintf(line, sizeof line, "%s%s", sign, name);
    dprintf(notes, "%s\n", line);
    if (!failing)
        return 0;
    if (!(lasting && begun)) {
        if (regexec(&chosen, line, 0, NULL, 0))
            return 0;
        if (__atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) != failing)
            return 0;
        begun = 1;
    }
    if (error > 0) {
        errno = error;
        return 1;
    }
    if (error < 0)
        kill(getpid(), -error);
    else
        usleep(WAIT);
    return 0;
}

static int is_ours(const char *path)
{
    return strncmp(path, root, length) == 0 && path[length] == '/';
}

static int fails_at(int folder, const char *sign, const char *path)
{
    char link[64], where[PATH_MAX] = "", whole[2 * PATH_MAX];
    if (!length)
        return 0;
    if (path[0] == '/')
        return is_ours(path) && fails(sign, path + length + 1);
    if (folder == AT_FDCWD)
        return fails(sign, path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    if (readlink(link, where, sizeof where - 1) < 0)
        return 0;
    snprintf(whole, sizeof whole, "%s/%s", where, path);
    return is_ours(whole) && fails(sign, whole + length + 1);
}

static int fails_on(int file)
{
    char link[64], where[PATH_MAX] = "";
    if (!length)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t n = readlink(link, where, sizeof where - 1);
    return n > 0 && is_ours(where) && fails("", where + length + 1);
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

int ftruncate64(int file, off64_t size) /* which Python calls */
{
    return fails_on(file) ? -1 : NEXT(ftruncate64)(file, size);
}

int mkdir(const char *path, mode_t mode)
{
    return fails_at(AT_FDCWD, "", path) ? -1 : NEXT(mkdir)(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    return fails_at(folder, "", path) ? -1 : NEXT(mkdirat)(folder, path, mode);
}

int rename(const char *from, const char *to)
{
    return fails_at(AT_FDCWD, "", to) ? -1 : NEXT(rename)(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return fails_at(to_folder, "", to) ? -1 : NEXT(renameat)(from_folder, from, to_folder, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    if (fails_at(to_folder, "", to))
        return -1;
    return NEXT(renameat2)(from_folder, from, to_folder, to, flags);
}

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return flags & O_CREAT && fails_at(AT_FDCWD, "", path) ? -1 : NEXT(open64)(path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return flags & O_CREAT && fails_at(AT_FDCWD, "", path) ? -1 : NEXT(open)(path, flags, mode);
}

/* A full disk can remove files, so that these never fail. */

int unlink(const char *path)
{
    fails_at(AT_FDCWD, "-", path);
    return NEXT(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags)
{
    fails_at(folder, "-", path);
    return NEXT(unlinkat)(folder, path, flags);
}

int rmdir(const char *path)
{
    fails_at(AT_FDCWD, "-", path);
    return NEXT(rmdir)(path);
}
