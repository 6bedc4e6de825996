/* The child of every measure: says when it began and what it read, then waits to be stopped. */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* child FIFO FILE: one line "NANOSECONDS PID CONTENT", CONTENT being the first word of FILE.
   The clock is read before anything else; the line is one write below PIPE_BUF, so it is never torn. */
int main(int argc, char **argv)
{
    struct timespec now;
    char content[33] = "", line[128];
    int fd, length;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc != 3)
        return 2;
    if ((fd = open(argv[2], O_RDONLY)) >= 0) {
        ssize_t got = read(fd, content, sizeof content - 1);
        content[got > 0 ? got : 0] = '\0';
        content[strcspn(content, " \n")] = '\0';
        close(fd);
    }
    length = snprintf(line, sizeof line, "%lld %d %s\n", now.tv_sec * 1000000000LL + now.tv_nsec, (int)getpid(),
                      *content ? content : "-");
    if ((fd = open(argv[1], O_WRONLY)) < 0 || write(fd, line, length) != length)
        return 1;
    close(fd);
    for (;;)
        pause();
}
