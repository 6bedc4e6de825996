/* What both C programs do first: one inotify watch on every directory below a root. */

#define _GNU_SOURCE
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

/* The union that a restarter needs: what truncate, link, rename and touch are reported by. */
#define MASK                                                                                               \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ATTRIB |        \
     IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK | IN_ONLYDIR)

/* The directory of a large tree that every tool ignores by default (benchmarks/trees.py). */
#define IGNORED "node_modules"

static int inotify_fd, watches;

static int arm_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    if (type != FTW_D)
        return FTW_CONTINUE;
    if (strcmp(path + where->base, IGNORED) == 0)
        return FTW_SKIP_SUBTREE;
    if (inotify_add_watch(inotify_fd, path, MASK) < 0) {
        perror(path);
        exit(1);
    }
    watches++;
    return FTW_CONTINUE;
}

static void arm_all(const char *root)
{
    if ((inotify_fd = inotify_init1(IN_CLOEXEC)) < 0 || nftw(root, arm_one, 64, FTW_PHYS | FTW_ACTIONRETVAL) != 0) {
        perror(root);
        exit(1);
    }
}
