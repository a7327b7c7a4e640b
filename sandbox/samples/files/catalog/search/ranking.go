package main

var weights = map[string]float64{"name": 4, "brand": 2, "description": 1}

func score(counts map[string]int) (total float64) {
	for field, count := range counts {
		total += weights[field] * float64(count)
	}
	return total
}
