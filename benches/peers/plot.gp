# CPU and memory of all servers, from the figures of `scripts/peers`, which sets
# `data` and `output`.

set terminal svg size 1080,460 font "sans-serif,13" background "white"
set output output
set datafile separator tab
set datafile missing "-"

rows(payload) = sprintf("< awk -F '\\t' '$2 == \"%s\"' '%s'", payload, data)
servers = int(system(sprintf("awk -F '\\t' '$2 == \"3 MB\"' '%s' | wc -l", data)))

set multiplot
set logscale x 10
set grid xtics ytics linecolor rgb "#dddddd"
set yrange [0.5 - servers : 0.5]
set bars 0.4
set style line 1 pointtype 7 pointsize 0.7 linewidth 1.5 linecolor rgb "#0072b2"
set style line 2 pointtype 5 pointsize 0.7 linewidth 1.5 linecolor rgb "#e69f00"
set style line 3 pointtype 9 pointsize 0.9 linewidth 1.5 linecolor rgb "#d55e00"
set key bottom center horizontal outside
set tmargin 3
set bmargin 7

# Vertical offset, so that the three points of a server do not overlap.
up = 0.22

set lmargin at screen 0.30
set rmargin at screen 0.66
set title "CPU time per request"
set xlabel "CPU time (user and system)"
set xrange [9:300000]
set xtics ("10 µs" 10, "100 µs" 100, "1 ms" 1000, "10 ms" 10000, "100 ms" 100000)
plot rows("0.7 KB") using 4:(up - $0):5:6 with xerrorbars linestyle 1 title "0.7 KB", \
     rows("50 KB") using 4:(-$0):5:6:yticlabels(1) with xerrorbars linestyle 2 title "50 KB", \
     rows("3 MB") using 4:(-up - $0):5:6 with xerrorbars linestyle 3 title "3 MB"

set lmargin at screen 0.69
set rmargin at screen 0.98
set title "Peak memory of the process"
set xlabel "peak resident set size, MiB"
set xrange [2:500]
set xtics ("2" 2, "5" 5, "10" 10, "20" 20, "50" 50, "100" 100, "200" 200, "500" 500)
set ytics format ""
unset key
plot rows("0.7 KB") using 13:(up - $0):14:15 with xerrorbars linestyle 1, \
     rows("50 KB") using 13:(-$0):14:15 with xerrorbars linestyle 2, \
     rows("3 MB") using 13:(-up - $0):14:15 with xerrorbars linestyle 3
unset multiplot
