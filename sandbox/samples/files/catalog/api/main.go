package main

import (
	"log"
	"net/http"
	"os"
)

func setting(name string) string {
	value, ok := os.LookupEnv(name)
	if !ok {
		log.Panicf("setting %s is missing", name)
	}
	return value
}

func main() {
	store := open(setting("DATABASE_URL"))
	http.Handle("/products/", products{store})
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok\n")) })
	log.Println("listening on :8000")
	log.Fatal(http.ListenAndServe(":8000", nil))
}
