# Draws docs/curves.tsv as one small plot per curve: cost per unit against the number of units. Run
# by scripts/curves.
set terminal svg size 1080,900 dynamic background "white" font "sans-serif,12"
set output "docs/curves.svg"
set datafile separator tab
set logscale xy
set format x "10^{%T}"
set format y "%.0s%c"
set grid lc rgb "#dddddd"
set tics nomirror
unset key
array Names[9] = ["byte of a message", "event of a batch", "secret", "request, apps by path", "address, prefixes", "element of a header", "claim and commit, live keys", "claim and commit, full store", "request, senders at a time"]
set multiplot layout 3,3 title "What one costs, in instructions (blue) and nanoseconds (orange), against how many there are"
do for [i = 1:9] {
  set title Names[i]
  wanted = Names[i]
  plot "docs/curves.tsv" using (stringcolumn(1) eq wanted ? column(2) : NaN):(column(3)) with linespoints pt 7 ps 0.6 lc rgb "#1f6fb2", \
       "docs/curves.tsv" using (stringcolumn(1) eq wanted ? column(2) : NaN):(column(4)) with linespoints pt 7 ps 0.6 lc rgb "#e07b1a"
}
unset multiplot
