module metrobloc.example/hpke

go 1.26
