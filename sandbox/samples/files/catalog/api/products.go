package main

import (
	"encoding/json"
	"net/http"
	"strings"
)

type products struct{ store *store }

func (p products) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	product, err := p.store.find(strings.TrimPrefix(r.URL.Path, "/products/"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	json.NewEncoder(w).Encode(product)
}
