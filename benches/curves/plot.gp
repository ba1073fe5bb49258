# Draws docs/curves.tsv as one small plot per curve: cost per unit against the number of units. Run
# by scripts/curves.
set terminal svg size 1080,1000 dynamic background "white" font "sans-serif,12"
set output "docs/curves.svg"
set datafile separator tab
set logscale xy
set format x "10^{%T}"
set format y "%.0s%c"
set grid linecolor rgb "#dddddd"
set tics nomirror
unset key
# Told apart by shape and by brightness too: in print, and with any colour vision.
set style line 1 pointtype 7 pointsize 0.6 linewidth 1.5 linecolor rgb "#0072b2"
set style line 2 pointtype 9 pointsize 0.7 linewidth 1.5 dashtype 2 linecolor rgb "#e69f00"
# The first column of the table, what is counted on the horizontal axis, and the title.
array Names[9] = ["byte of a message", "event of a batch", "secret", "request, apps by path", "address, prefixes", "element of a header", "claim and commit, live keys", "claim and commit, full store", "request, senders at a time"]
array Counted[9] = ["body length, bytes", "events per delivery", "app secrets", "apps", "prefixes in the allow-list", "addresses in X-Forwarded-For", "live keys in the store", "capacity of the store, keys", "concurrent requests"]
array Titles[9] = ["Parse and verify a body, per byte", "Handle a batch, per event", "Verify a signature, per secret", "Find an app by path, per request", "Look up an address, per request", "Read X-Forwarded-For, per address", "Claim and commit, per event", "Claim, commit and evict, per event", "Concurrent requests, per request"]
set ylabel "instructions; time, ns"
set multiplot layout 3,3 title "Cost per unit in instructions (blue circles) and nanoseconds (orange triangles); a level line is linear growth"
do for [i = 1:9] {
  set title Titles[i]
  set xlabel Counted[i]
  wanted = Names[i]
  # The prefixes of the others would show 0.1 as 100m.
  set format y (i == 1 ? "%g" : "%.0s%c")
  plot "docs/curves.tsv" using (stringcolumn(1) eq wanted ? column(2) : NaN):(column(3)) with linespoints linestyle 1, \
       "docs/curves.tsv" using (stringcolumn(1) eq wanted ? column(2) : NaN):(column(4)) with linespoints linestyle 2
}
unset multiplot
