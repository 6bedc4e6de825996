/* The least a restarter can do: arm, start, and on any event stop the group and start again. */

#include "walk.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(char **command)
{
    pid_t pid = vfork();

    if (pid == 0) {
        setpgid(0, 0);
        execvp(command[0], command);
        _exit(127);
    }
    return pid;
}

/* SIGTERM ends the restarter and its child: the only thing here that is not needed to measure. */
static volatile pid_t child;

static void leave(int signum)
{
    (void)signum;
    kill(-child, SIGKILL);
    _exit(0);
}

/* restarter ROOT COMMAND [ARG ...] */
int main(int argc, char **argv)
{
    static char events[65536];

    if (argc < 3)
        return 2;
    arm_all(argv[1]);
    child = start(argv + 2);
    signal(SIGTERM, leave);
    while (read(inotify_fd, events, sizeof events) > 0 || errno == EINTR) {
        kill(-child, SIGTERM);
        waitpid(child, NULL, 0);
        child = start(argv + 2);
    }
    return 1;
}
