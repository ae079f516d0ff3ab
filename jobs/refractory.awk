# A simulated neuron that fires at random, but not within a refractory period. Prints "name value" lines.
# Arguments: rate [spikes per second], refractory period [ms], duration [s], seed, note.
BEGIN {
    rate = ARGV[1]; dead = ARGV[2] / 1000; duration = ARGV[3]; srand(ARGV[4])
    print "note:", ARGV[5]
    if (rate * dead >= 1) {
        print "a rate of " rate " per second leaves no time for " ARGV[2] " ms after each spike" > "/dev/stderr"
        exit 2
    }
    free = rate / (1 - rate * dead)      # so that the mean rate is the one asked for
    while (time < duration) {
        gap = dead - log(1 - rand()) / free
        time += gap; sum += gap; squares += gap * gap; spikes++
    }
    mean = sum / spikes
    print "spikes", spikes
    print "rate", 1 / mean
    print "interval_cv", sqrt(squares / spikes - mean * mean) / mean
}
