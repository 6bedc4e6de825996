/* What arming costs at the least: nftw and inotify_add_watch, timed from the inside. */

#include "walk.h"

#include <time.h>

/* arm ROOT: prints the number of watches and the milliseconds. */
int main(int argc, char **argv)
{
    struct timespec begin, end;

    if (argc != 2)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    arm_all(argv[1]);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%d %.3f\n", watches, (end.tv_sec - begin.tv_sec) * 1e3 + (end.tv_nsec - begin.tv_nsec) / 1e6);
    return 0;
}
